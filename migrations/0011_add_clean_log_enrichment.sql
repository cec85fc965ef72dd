-- depends: 0010_create_referrer
-- What a line says through something else: its address, its path, its referrer. MySQL has no
-- IF NOT EXISTS for a column; MariaDB reads the comment.

ALTER TABLE clean_log
    ADD COLUMN /*M! IF NOT EXISTS */ referrer_id BIGINT UNSIGNED AFTER referrer,
    ADD COLUMN /*M! IF NOT EXISTS */ country CHAR(2) AFTER user_agent_id,
    ADD COLUMN /*M! IF NOT EXISTS */ city VARCHAR(255) AFTER country,
    ADD COLUMN /*M! IF NOT EXISTS */ asn INT UNSIGNED AFTER city,
    ADD COLUMN /*M! IF NOT EXISTS */ file_type VARCHAR(16) AFTER asn
