UPDATE clean_log
INNER JOIN referrer ON referrer.referrer_id = clean_log.referrer_id
SET clean_log.referrer = referrer.referrer
