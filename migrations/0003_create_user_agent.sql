-- depends: 0002_create_log_stream
-- Each distinct user agent once; the key is a hash of its text.

CREATE TABLE IF NOT EXISTS user_agent (
    user_agent_id BIGINT UNSIGNED NOT NULL,
    user_agent VARCHAR(1024) NOT NULL,
    PRIMARY KEY (user_agent_id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
