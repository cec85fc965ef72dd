-- depends: 0008_add_request_and_upstream_time
-- A stream's format is a preset's name or a whole log_format directive.

ALTER TABLE log_stream MODIFY format VARCHAR(4096) NOT NULL
