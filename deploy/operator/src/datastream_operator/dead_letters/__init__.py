"""The command `datastream dead-letters`: what waits there, why, and what becomes of it."""
