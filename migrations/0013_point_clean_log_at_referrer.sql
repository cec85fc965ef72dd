-- depends: 0012_fill_referrer

UPDATE clean_log
SET referrer_id = CAST(CONV(LEFT(SHA2(referrer, 256), 16), 16, 10) AS UNSIGNED)
WHERE referrer IS NOT NULL
