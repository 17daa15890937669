-- From here on a policy has to allow the images in S3 that its holder may name. Keys that were made before could name
-- all of them, and still can: each of their policies gets the statement that says so.
DO $$
DECLARE
    one access_keys;
BEGIN
    FOR one IN SELECT * FROM access_keys LOOP
        BEGIN
            UPDATE access_keys SET policy = json_build_object(
                'Version', coalesce(one.policy::json -> 'Version', '"2012-10-17"'),
                'Statement', (
                    SELECT json_agg(statement) FROM (
                        SELECT json_array_elements(
                            CASE json_typeof(one.policy::json -> 'Statement')
                                WHEN 'array' THEN one.policy::json -> 'Statement'
                                ELSE json_build_array(one.policy::json -> 'Statement')
                            END
                        ) AS statement
                        UNION ALL SELECT json_build_object(
                            'Effect', 'Allow',
                            'Action', json_build_array('s3:GetObject', 's3:GetObjectVersion'),
                            'Resource', 'arn:aws:s3:::*'
                        )
                    ) AS statements
                )
            ) WHERE access_key_id = one.access_key_id;
        EXCEPTION WHEN data_exception THEN
            -- JSON to us and not to PostgreSQL: NaN, a zero byte or half a surrogate pair, as in a Sid. It allows less.
            RAISE WARNING 'the policy of the access key % stays as it is: its holder has to send images', one.name;
        END;
    END LOOP;
END $$;
