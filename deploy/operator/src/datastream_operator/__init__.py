"""The command `datastream`: sample logs, migrations, topology, and the demo without Docker."""
