-- Every line as the web server wrote it, byte for byte, for ever.
-- The key is the line's identity: its stream and its byte offset there. Rows arrive in key order.

CREATE TABLE IF NOT EXISTS raw_log (
    stream_id BIGINT UNSIGNED NOT NULL,
    line_offset BIGINT UNSIGNED NOT NULL,
    -- 1: had no newline yet; 2: the head of a line that was longer than the limit.
    flags TINYINT UNSIGNED NOT NULL,
    line MEDIUMBLOB NOT NULL,
    stored_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (stream_id, line_offset)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
