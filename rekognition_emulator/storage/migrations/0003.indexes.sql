-- Which index a collection is searched by, and what the indexes outside the database need in order to follow it.
ALTER TABLE collections
    ADD COLUMN index_name      text, -- null: the one that the server is set to
    ADD COLUMN pruned_revision bigint NOT NULL DEFAULT 0; -- removals up to here are forgotten

-- Moments that a collection's history has passed. What an index has written down about the collection goes with one of
-- them: a database that was restored to an earlier moment does not know it, whatever tool restored it.
CREATE TABLE milestones (
    collection_id bigint NOT NULL,
    milestone     uuid NOT NULL,
    passed_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection_id, milestone)
);
