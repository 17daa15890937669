-- What one key is refused again and again within a minute is one row: so often, from first_at to at.
ALTER TABLE audit_log
    ADD times    integer NOT NULL DEFAULT 1,
    ADD first_at timestamptz; -- null for what happened once
