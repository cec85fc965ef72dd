DROP TABLE clean_log
