-- What one key is refused again and again within a minute is one row: so often, from first_at to at. Such a row names
-- neither region nor collection, for a caller may name any.
ALTER TABLE audit_log
    ADD times    integer NOT NULL DEFAULT 1,
    ADD first_at timestamptz; -- null for what happened once
