DROP TABLE raw_log
