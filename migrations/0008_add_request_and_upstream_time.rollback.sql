ALTER TABLE clean_log
    DROP COLUMN /*M! IF EXISTS */ upstream_time,
    DROP COLUMN /*M! IF EXISTS */ request_time
