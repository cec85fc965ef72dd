"""The command `datastream`: migrations, topology, and what the person on call needs.

A command is the module or package of its name; `__main__` also finds those of the playground, where
that is installed. `containers` is what the scripts of deploy/bin run in the operator's image. The
commands share the rest: the `lines` of a log and the `raw` ones of the table, the `policies` of a
broker, the `screen` that shows what runs, words and bars.
"""
