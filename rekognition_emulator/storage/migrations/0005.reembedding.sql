-- What faces can be embedded from anew, and the embeddings that another face model makes of them.

-- Where a picture was read from, if a request named an object in S3.
CREATE TABLE picture_sources (
    collection_id bigint NOT NULL,
    image_id      uuid NOT NULL,
    bucket        text NOT NULL,
    key           text NOT NULL,
    version       text, -- null: whichever was the newest
    PRIMARY KEY (collection_id, image_id)
);

-- Faces cut out of their pictures, where the deployment keeps them. They are as personal as embeddings and go with them.
CREATE TABLE face_chips (
    collection_id bigint NOT NULL,
    face_id       uuid NOT NULL,
    jpeg          bytea NOT NULL,
    landmarks     real[] NOT NULL, -- x and y of five points, in ratios of the chip
    PRIMARY KEY (collection_id, face_id)
);

-- A JPEG becomes no smaller.
ALTER TABLE face_chips ALTER jpeg SET STORAGE EXTERNAL;

-- Embeddings of faces by models that their collection is not searched with: not yet, or no more. The face's row has the
-- one that counts.
CREATE TABLE staged_embeddings (
    collection_id      bigint NOT NULL,
    face_id            uuid NOT NULL,
    face_model_version text NOT NULL,
    embedding          vector NOT NULL,
    PRIMARY KEY (collection_id, face_id, face_model_version)
);

ALTER TABLE staged_embeddings ALTER embedding SET STORAGE PLAIN;

ALTER TABLE collections ADD COLUMN kept_face_model_version text; -- the model before, until nobody wants to go back
