DROP TABLE log_stream
