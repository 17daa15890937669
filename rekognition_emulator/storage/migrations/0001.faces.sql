-- A file in this folder is never edited after its release: what has been applied is recorded with its digest.

-- Every key begins with the collection's id and every statement on faces names it. On one machine that means locality;
-- on several, create_distributed_table('faces', 'collection_id') and its like work unchanged.
CREATE TABLE collections (
    id                 bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    account            text NOT NULL,
    region             text NOT NULL,
    name               text COLLATE "C" NOT NULL, -- listed in byte order, whatever the locale of the database
    face_model_version text NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT now(),
    revision           bigint NOT NULL DEFAULT 0,
    face_count         bigint NOT NULL DEFAULT 0,
    UNIQUE (account, region, name)
);

-- No foreign key to collections: a deleted collection disappears at once and its faces are swept out afterwards.
CREATE TABLE faces (
    collection_id     bigint NOT NULL,
    face_id           uuid NOT NULL,
    image_id          uuid NOT NULL,
    external_image_id text,
    box_left          double precision NOT NULL,
    box_top           double precision NOT NULL,
    box_width         double precision NOT NULL,
    box_height        double precision NOT NULL,
    confidence        double precision NOT NULL,
    embedding         vector NOT NULL, -- of no fixed dimension: that belongs to the collection's face model
    revision          bigint NOT NULL, -- the collection's revision that brought the face
    PRIMARY KEY (collection_id, face_id)
);

-- A face of 512 dimensions is just over the size from which PostgreSQL moves columns out of line, and then every
-- comparison would fetch its embedding from another table: several times slower. Keep both long columns in the row.
ALTER TABLE faces ALTER embedding SET STORAGE PLAIN, ALTER external_image_id SET STORAGE PLAIN;

CREATE INDEX faces_by_image ON faces (collection_id, image_id);
CREATE INDEX faces_by_revision ON faces (collection_id, revision);

-- What went, for indexes outside the database that follow a collection by its revisions.
CREATE TABLE removed_faces (
    collection_id bigint NOT NULL,
    revision      bigint NOT NULL,
    face_id       uuid NOT NULL,
    PRIMARY KEY (collection_id, revision, face_id)
);

-- Deleted collections whose faces are not all swept out yet.
CREATE TABLE deleted_collections (
    collection_id bigint PRIMARY KEY
);
