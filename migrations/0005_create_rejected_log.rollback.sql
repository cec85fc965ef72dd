DROP TABLE IF EXISTS rejected_log
