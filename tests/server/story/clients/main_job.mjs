// The main job with AWS's SDK for JavaScript: index an album, then find a person in it by picture and by face.
// Takes a folder with album/*.jpg and selfie.jpg in it; prints as JSON what came of each step. Region, credentials and
// endpoint come from the environment, as they do for every program that uses the SDK.
import { readFile, readdir } from "node:fs/promises";
import {
  CreateCollectionCommand,
  DeleteCollectionCommand,
  DeleteFacesCommand,
  DescribeCollectionCommand,
  DetectFacesCommand,
  IndexFacesCommand,
  ListCollectionsCommand,
  RekognitionClient,
  ResourceNotFoundException,
  SearchFacesByImageCommand,
  SearchFacesCommand,
  paginateListFaces,
} from "@aws-sdk/client-rekognition";

const CollectionId = "javascript";
const folder = process.argv[2];
const rekognition = new RekognitionClient({});

async function image(path) {
  return { Bytes: new Uint8Array(await readFile(`${folder}/${path}`)) };
}

const created = await rekognition.send(new CreateCollectionCommand({ CollectionId }));

const indexed = {};
for (const name of await readdir(`${folder}/album`)) {
  const { FaceRecords } = await rekognition.send(
    new IndexFacesCommand({ CollectionId, Image: await image(`album/${name}`), ExternalImageId: name }),
  );
  indexed[name] = FaceRecords.map(({ Face }) => Face.FaceId);
}

const { CollectionIds } = await rekognition.send(new ListCollectionsCommand({}));

const pages = [];
for await (const { Faces } of paginateListFaces({ client: rekognition, pageSize: 2 }, { CollectionId })) {
  pages.push(Faces.map(({ FaceId }) => FaceId));
}

const selfie = await image("selfie.jpg");
const byImage = await rekognition.send(new SearchFacesByImageCommand({ CollectionId, Image: selfie }));
const [FaceId] = indexed["ada-plain.jpg"];
const byFace = await rekognition.send(new SearchFacesCommand({ CollectionId, FaceId }));

const together = await image("album/ada-and-ben.jpg");
const detected = await rekognition.send(new DetectFacesCommand({ Image: together, Attributes: ["ALL"] }));

const deleted = await rekognition.send(new DeleteFacesCommand({ CollectionId, FaceIds: [FaceId] }));
const described = await rekognition.send(new DescribeCollectionCommand({ CollectionId }));
const dropped = await rekognition.send(new DeleteCollectionCommand({ CollectionId }));

let error;
try {
  await rekognition.send(new SearchFacesCommand({ CollectionId, FaceId }));
} catch (thrown) {
  error = thrown;
}

console.log(
  JSON.stringify({
    arn: created.CollectionArn,
    listed: CollectionIds.includes(CollectionId),
    indexed,
    pages,
    foundByImage: byImage.FaceMatches.map(({ Face, Similarity }) => [Face.ExternalImageId, Similarity]),
    foundByFace: byFace.FaceMatches.map(({ Face }) => Face.ExternalImageId),
    detected: detected.FaceDetails.length,
    deleted: deleted.DeletedFaces,
    facesLeft: described.FaceCount,
    ageSeconds: (Date.now() - described.CreationTimestamp.getTime()) / 1000,
    dropped: dropped.StatusCode,
    requestId: dropped.$metadata.requestId,
    error: {
      isResourceNotFoundException: error instanceof ResourceNotFoundException,
      name: error.name,
      message: error.message,
      Code: error.Code,
      Logref: error.Logref,
      fault: error.$fault,
      status: error.$metadata.httpStatusCode,
      requestId: error.$metadata.requestId,
      attempts: error.$metadata.attempts,
    },
  }),
);
