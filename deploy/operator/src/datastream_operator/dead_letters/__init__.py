"""The command `datastream dead-letters`: what could not be stored, why, and what to do with it."""
