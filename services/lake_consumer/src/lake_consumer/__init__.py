"""Keeps every line of a log, byte for byte, in MySQL."""
