-- From here on a policy has to allow the images in S3 that its holder may name. Keys that were made before could name
-- all of them, and still can: each of their policies gets the statement that says so.
UPDATE access_keys SET policy = json_build_object(
    'Version', coalesce(policy::json -> 'Version', '"2012-10-17"'),
    'Statement', (
        SELECT json_agg(statement) FROM (
            SELECT json_array_elements(
                CASE json_typeof(policy::json -> 'Statement')
                    WHEN 'array' THEN policy::json -> 'Statement'
                    ELSE json_build_array(policy::json -> 'Statement')
                END
            ) AS statement
            UNION ALL SELECT
                '{"Effect": "Allow", "Action": ["s3:GetObject", "s3:GetObjectVersion"], "Resource": "arn:aws:s3:::*"}'
        ) AS statements
    )
);
