"""Parses every line of a log into typed columns in MySQL."""
