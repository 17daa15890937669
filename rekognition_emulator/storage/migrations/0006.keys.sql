-- Who may call. A key and the ones that it was rotated to share their name. Few rows: every server reads all of them.
CREATE TABLE access_keys (
    access_key_id text COLLATE "C" PRIMARY KEY,
    name          text COLLATE "C" NOT NULL,
    account       text NOT NULL,
    policy        text NOT NULL, -- JSON as it was given
    policy_name   text NOT NULL, -- what the operator called it
    sealed_secret bytea NOT NULL,
    enabled       boolean NOT NULL DEFAULT true,
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz
);
