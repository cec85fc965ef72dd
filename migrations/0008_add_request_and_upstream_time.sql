-- depends: 0007_create_complete_line
-- What formats beyond the usual ones log, in seconds: how long a request took, and how long its
-- upstream servers took together. MySQL has no IF NOT EXISTS for a column; MariaDB reads the comment.

ALTER TABLE clean_log
    ADD COLUMN /*M! IF NOT EXISTS */ request_time DECIMAL(10, 3) AFTER size,
    ADD COLUMN /*M! IF NOT EXISTS */ upstream_time DECIMAL(10, 3) AFTER request_time
