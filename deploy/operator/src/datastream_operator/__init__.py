"""The command `datastream`: migrations, topology, and what the person on call needs."""
