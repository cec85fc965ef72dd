"""The command `datastream accounts`: the accounts of the two servers, and what each may do.

`rights` declares that, once: the command prints and applies it, the containers are made by it, and
the doctor compares the servers with it.
"""
