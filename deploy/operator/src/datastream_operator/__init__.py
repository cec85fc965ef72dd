"""The command `datastream`: migrations, topology, and what the person on call needs.

A command is the module, or the package, of its name; `__main__` finds those of the playground too,
where that is installed. `containers` is what the scripts of deploy/bin run in the operator's image.
The rest is what several of them share: the `lines` of a log and the `raw` ones of the table, the
`policies` of a broker, the `screen` that shows what runs, words and bars.
"""
