ALTER TABLE clean_log ADD COLUMN /*M! IF NOT EXISTS */ referrer VARCHAR(2048) AFTER upstream_time
