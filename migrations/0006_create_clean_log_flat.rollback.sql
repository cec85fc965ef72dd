DROP VIEW clean_log_flat
