// A page in a browser that searches by selfie with AWS's SDK for JavaScript and the session that its back end has got.
// Takes JSON, {origin, picture, searches: [[session, collection], …]}; prints a list of what came of each search. The
// browser's part, which Node leaves out, is played here: it asks before it sends, and keeps answers not meant for it.
import { readFileSync } from "node:fs";
import { FetchHttpHandler } from "@smithy/fetch-http-handler";
import { RekognitionClient, SearchFacesByImageCommand } from "@aws-sdk/client-rekognition";

const { origin, picture, searches } = JSON.parse(process.argv[2]);
const ADDED_BY_BROWSERS = ["accept-encoding", "connection", "content-length", "host", "origin", "user-agent"];
const asked = new Set();

const send = globalThis.fetch;
globalThis.fetch = async (request) => {
  const names = [...request.headers.keys()].filter((name) => !ADDED_BY_BROWSERS.includes(name)).sort();
  names.forEach((name) => asked.add(name));
  const answer = await send(request.url, {
    method: "OPTIONS",
    headers: {
      origin,
      "access-control-request-method": request.method,
      "access-control-request-headers": names.join(","),
    },
  });
  const granted = (answer.headers.get("access-control-allow-headers") ?? "").toLowerCase().split(/,\s*/);
  const methods = answer.headers.get("access-control-allow-methods") ?? "";
  const mayCall = answer.ok && answer.headers.get("access-control-allow-origin") === origin;
  if (!mayCall || !methods.includes(request.method) || names.some((name) => !granted.includes(name))) {
    throw new TypeError("blocked by CORS policy");
  }
  request.headers.set("origin", origin);
  const response = await send(request);
  if (response.headers.get("access-control-allow-origin") !== origin) {
    throw new TypeError("blocked by CORS policy");
  }
  return response;
};

const outcomes = [];
for (const [session, CollectionId] of searches) {
  const rekognition = new RekognitionClient({
    credentials: {
      accessKeyId: session.AccessKeyId,
      secretAccessKey: session.SecretAccessKey,
      sessionToken: session.SessionToken,
    },
    requestHandler: new FetchHttpHandler({}),
  });
  try {
    const command = new SearchFacesByImageCommand({ CollectionId, Image: { Bytes: new Uint8Array(readFileSync(picture)) } });
    const { FaceMatches } = await rekognition.send(command);
    outcomes.push({ found: FaceMatches.map(({ Face }) => Face.ExternalImageId) });
  } catch (error) {
    outcomes.push({ name: error.name, message: error.message });
  }
}
console.log(JSON.stringify({ outcomes, asked: [...asked] }));
