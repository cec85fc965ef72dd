-- depends: 0021_show_path_agent_and_referrer
-- Its rows become the first packs, of one line each: nothing is copied. Until 0026 no version of
-- the lake consumer has a table to write into, the older one and the newer: what is taken back
-- there is copied while nothing changes.

ALTER TABLE raw_log RENAME TO raw_line
