// Makes calls with AWS's SDK for JavaScript and tells of each what a program that uses it sees.
// Takes JSON, [[operation, request], …] in which Bytes names a file; prints a list of {answer} and {status, code, message}.
import { readFileSync } from "node:fs";
import * as sdk from "@aws-sdk/client-rekognition";

const calls = JSON.parse(process.argv[2], (key, value) =>
  key === "Bytes" ? new Uint8Array(readFileSync(value)) : value,
);
const rekognition = new sdk.RekognitionClient({});
const outcomes = [];
for (const [operation, request] of calls) {
  try {
    const { $metadata, ...answer } = await rekognition.send(new sdk[`${operation}Command`](request));
    outcomes.push({ answer });
  } catch (error) {
    outcomes.push({ status: error.$metadata?.httpStatusCode, code: error.name, message: error.message });
  }
}
console.log(JSON.stringify(outcomes));
