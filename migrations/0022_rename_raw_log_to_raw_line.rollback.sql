ALTER TABLE raw_line RENAME TO raw_log
