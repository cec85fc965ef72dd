"""The command `datastream`: migrations, topology, and what the person on call needs.

A command is the module, or the package, of its name; `topology` alone is in `__main__`, which also
finds the commands of the playground where that is installed. `containers` is what the scripts of
deploy/bin run in the operator's image. The rest is what several of them share: `lines` of a log and
`raw` ones of the table, `policies` of the broker, the `screen` of what runs, and words and bars.
"""
