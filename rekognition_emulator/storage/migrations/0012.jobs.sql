-- Work that outlives the process that does it. Few rows, of no collection: like access keys they stay on one machine.
CREATE TABLE jobs (
    id               text COLLATE "C" PRIMARY KEY, -- 64 hexadecimal digits
    kind             text COLLATE "C" NOT NULL,
    account          text NOT NULL,
    subject          text,                 -- what it is about, for people: a collection's name
    single           text COLLATE "C",     -- no two jobs of a kind that are not over have the same
    payload          jsonb NOT NULL,
    actor            jsonb NOT NULL,       -- who has asked for it, for the audit log
    status           text NOT NULL DEFAULT 'queued'
                     CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    created_at       timestamptz NOT NULL DEFAULT now(),
    run_at           timestamptz NOT NULL DEFAULT now(), -- not before then
    started_at       timestamptz,          -- for the first time
    finished_at      timestamptz,
    worker           text,                 -- who has begun it last
    fence            bigint NOT NULL DEFAULT 0, -- how often it was begun; whoever knows an earlier number writes nothing
    lease_until      timestamptz,          -- its worker is held for dead from then on
    attempts         integer NOT NULL DEFAULT 0, -- how often it was begun since it last got ahead
    attempts_max     integer NOT NULL,
    checkpoint       jsonb,                -- from where it goes on
    done             bigint NOT NULL DEFAULT 0,
    total            bigint,               -- null: not known
    cancel_requested boolean NOT NULL DEFAULT false,
    error            text,
    CHECK ((status = 'running') = (lease_until IS NOT NULL)),
    CHECK ((status IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL))
);

CREATE UNIQUE INDEX jobs_single ON jobs (kind, single) WHERE status IN ('queued', 'running');
CREATE INDEX jobs_by_turn ON jobs (run_at, id) WHERE status IN ('queued', 'running');
CREATE INDEX jobs_by_end ON jobs (finished_at) WHERE finished_at IS NOT NULL;

-- For how many days a collection keeps its faces; null: until somebody deletes them. Nobody knows when faces came that
-- were there before this column: their time begins with it.
ALTER TABLE collections ADD COLUMN retention_days integer CHECK (retention_days BETWEEN 1 AND 36500);
ALTER TABLE faces ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX faces_by_age ON faces (collection_id, created_at);
