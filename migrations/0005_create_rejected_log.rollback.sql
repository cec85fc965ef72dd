DROP TABLE rejected_log
