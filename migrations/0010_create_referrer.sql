-- depends: 0009_widen_format
-- Each distinct referrer once; the key is a hash of its text. A kind that is NULL is not looked at
-- yet: the clean consumer fills it in.

CREATE TABLE IF NOT EXISTS referrer (
    referrer_id BIGINT UNSIGNED NOT NULL,
    referrer VARCHAR(2048) NOT NULL,
    host VARCHAR(255),
    -- search, social, internal (of the site itself) or other.
    kind VARCHAR(8),
    PRIMARY KEY (referrer_id),
    KEY kind (kind)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin
