"""The command `datastream verify`: compares logs with the tables, line by line."""
