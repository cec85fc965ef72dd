-- depends: 0014_drop_clean_log_referrer
-- What a user agent says of itself. One whose is_bot is NULL is not parsed yet: the clean consumer
-- does that, some at a time, and finds them by the index.

ALTER TABLE user_agent
    ADD COLUMN /*M! IF NOT EXISTS */ browser VARCHAR(64),
    ADD COLUMN /*M! IF NOT EXISTS */ browser_version VARCHAR(32),
    ADD COLUMN /*M! IF NOT EXISTS */ `system` VARCHAR(64),
    ADD COLUMN /*M! IF NOT EXISTS */ device VARCHAR(64),
    ADD COLUMN /*M! IF NOT EXISTS */ is_bot BOOLEAN,
    ADD KEY /*M! IF NOT EXISTS */ is_bot (is_bot)
