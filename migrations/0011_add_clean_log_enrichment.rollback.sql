ALTER TABLE clean_log
    DROP COLUMN /*M! IF EXISTS */ file_type,
    DROP COLUMN /*M! IF EXISTS */ asn,
    DROP COLUMN /*M! IF EXISTS */ city,
    DROP COLUMN /*M! IF EXISTS */ country,
    DROP COLUMN /*M! IF EXISTS */ referrer_id
