-- depends: 0001_create_raw_log
-- What a stream is: one generation of one log file, from its first byte to its rotation.

CREATE TABLE IF NOT EXISTS log_stream (
    stream_id BIGINT UNSIGNED NOT NULL,
    source VARCHAR(255) NOT NULL,
    host VARCHAR(255) NOT NULL,
    path VARCHAR(1024) NOT NULL,
    format VARCHAR(64) NOT NULL,
    generation INT UNSIGNED NOT NULL,
    first_seen DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    PRIMARY KEY (stream_id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
