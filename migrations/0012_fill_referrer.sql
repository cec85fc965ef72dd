-- depends: 0011_add_clean_log_enrichment
-- The referrers of the rows that are there. The key is the one that the clean consumer reckons.

INSERT INTO referrer (referrer_id, referrer)
SELECT DISTINCT
    CAST(CONV(LEFT(SHA2(c.referrer, 256), 16), 16, 10) AS UNSIGNED) AS found_id,
    c.referrer AS found
FROM clean_log AS c
WHERE c.referrer IS NOT NULL
ON DUPLICATE KEY UPDATE referrer_id = referrer.referrer_id
