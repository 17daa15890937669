-- Who did what, for as long as the operator has said when it was done. Rows are only added: they never change, and none
-- goes before its time, whoever asks. They outlive the collections that they speak of.
CREATE TABLE audit_log (
    at              timestamptz NOT NULL,
    kept_until      timestamptz NOT NULL,
    request_id      text NOT NULL,
    account         text NOT NULL,
    region          text,          -- null for the operator's commands, unless they name one
    access_key_id   text,          -- null for whoever was not asked for one
    key_name        text NOT NULL, -- in parentheses, where it is none: (anonymous), (operator)
    in_session      boolean NOT NULL,
    operation       text NOT NULL,
    collection      text,
    subject         text,          -- what an operator's command was about besides: a key, an index, a face model
    status          integer NOT NULL,
    error           text,
    would_be_denied text,
    counts          jsonb NOT NULL,
    deleted_faces   uuid[]         -- FaceIds, the proof that a person's demand was met; nothing else of faces
);

CREATE INDEX audit_log_by_time ON audit_log (at);
CREATE INDEX audit_log_by_end ON audit_log USING brin (kept_until); -- rows come nearly in this order: some kilobytes

CREATE FUNCTION keep_audit_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.kept_until <= now() THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE 'rows of the audit log stay as they are until their time is over' USING ERRCODE = '55000';
END $$;

CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION keep_audit_log();
CREATE TRIGGER keep_all BEFORE TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION keep_audit_log();

-- The planner keeps samples of columns. It needs none of these, and they are as personal as what they are taken from.
ALTER TABLE faces ALTER embedding SET STATISTICS 0;
ALTER TABLE users ALTER embedding SET STATISTICS 0;
ALTER TABLE staged_embeddings ALTER embedding SET STATISTICS 0;
ALTER TABLE face_chips ALTER jpeg SET STATISTICS 0, ALTER landmarks SET STATISTICS 0;
