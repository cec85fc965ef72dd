DROP VIEW IF EXISTS clean_log_flat
