-- depends: 0003_create_user_agent
-- Every line that fits its format, in typed columns. Times are UTC. What derives from another
-- column is not stored: see the view clean_log_flat.

CREATE TABLE IF NOT EXISTS clean_log (
    stream_id BIGINT UNSIGNED NOT NULL,
    line_offset BIGINT UNSIGNED NOT NULL,
    parser_version SMALLINT UNSIGNED NOT NULL,
    flags TINYINT UNSIGNED NOT NULL,
    time DATETIME(3) NOT NULL,
    client VARBINARY(16),
    session VARCHAR(255),
    user VARCHAR(255),
    is_email BOOLEAN NOT NULL,
    email_domain VARCHAR(255),
    method VARCHAR(32),
    url VARCHAR(2048),
    scheme VARCHAR(16),
    host VARCHAR(255),
    path VARCHAR(2048),
    query VARCHAR(2048),
    http_version VARCHAR(8),
    status SMALLINT UNSIGNED,
    size BIGINT UNSIGNED,
    referrer VARCHAR(2048),
    user_agent_id BIGINT UNSIGNED,
    extra JSON,
    PRIMARY KEY (stream_id, line_offset),
    KEY time (time)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
