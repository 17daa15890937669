-- Earlier versions imported whatever a file said. What no answer can carry kept a whole account's lists from being
-- answered: moments beyond the years that a client's calendar has, and tags that are no text. Boxes are left as they
-- are; a number that cannot be shown is not shown.
UPDATE collections SET created_at = least(greatest(created_at, '0001-01-02 00:00+00'), '9998-12-31 00:00+00')
WHERE created_at NOT BETWEEN '0001-01-02 00:00+00' AND '9998-12-31 00:00+00';

UPDATE collections SET tags = (
    SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(tags) WHERE jsonb_typeof(value) = 'string'
) WHERE EXISTS (SELECT FROM jsonb_each(tags) WHERE jsonb_typeof(value) <> 'string');

ALTER TABLE collections ADD CONSTRAINT collections_created_at_check
    CHECK (created_at BETWEEN '0001-01-02 00:00+00' AND '9998-12-31 00:00+00');
