-- It stays as wide as it is: what is in it may not fit into less.

ALTER TABLE log_stream MODIFY format VARCHAR(4096) NOT NULL
