DROP TABLE user_agent
