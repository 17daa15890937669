-- Whether a key is asked for also while there is none: from the first key on, until an operator opens the servers again.
CREATE TABLE access_control (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    needs_a_key boolean NOT NULL
);

-- Of a key that was deleted before this table was there, the audit log may still know.
INSERT INTO access_control (needs_a_key)
SELECT EXISTS (SELECT FROM access_keys) OR EXISTS (SELECT FROM audit_log WHERE operation = 'keys create');
