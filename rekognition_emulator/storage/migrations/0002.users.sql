-- Users group faces of a collection. Their keys begin with the collection's id, too.
ALTER TABLE collections
    ADD COLUMN user_count bigint NOT NULL DEFAULT 0,
    ADD COLUMN tags       jsonb NOT NULL DEFAULT '{}';

CREATE TABLE users (
    collection_id bigint NOT NULL,
    user_id       text COLLATE "C" NOT NULL, -- listed in byte order, whatever the locale of the database
    face_count    bigint NOT NULL DEFAULT 0,
    embedding     vector, -- the mean of the faces' embeddings, of unit length; null without faces
    revision      bigint NOT NULL DEFAULT 0, -- the collection's revision that brought this embedding
    PRIMARY KEY (collection_id, user_id)
);

-- In the row, for the same reason as those of faces.
ALTER TABLE users ALTER embedding SET STORAGE PLAIN, ALTER user_id SET STORAGE PLAIN;

CREATE INDEX users_by_revision ON users (collection_id, revision);

-- What went, for indexes outside the database that follow a collection by its revisions.
CREATE TABLE removed_users (
    collection_id bigint NOT NULL,
    revision      bigint NOT NULL,
    user_id       text COLLATE "C" NOT NULL,
    PRIMARY KEY (collection_id, revision, user_id)
);

ALTER TABLE faces ADD COLUMN user_id text COLLATE "C";
ALTER TABLE faces ALTER user_id SET STORAGE PLAIN;
CREATE INDEX faces_by_user ON faces (collection_id, user_id, face_id) WHERE user_id IS NOT NULL;

-- Answers to requests that may be sent again. They belong to an account, not to a collection, which may be gone by then.
CREATE TABLE answers (
    account    text NOT NULL,
    region     text NOT NULL,
    operation  text NOT NULL,
    token      text NOT NULL,
    request    text NOT NULL, -- a digest of what was asked for
    answer     text, -- null only inside the transaction that makes it
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (account, region, operation, token)
);

CREATE INDEX answers_by_expiry ON answers (expires_at);
