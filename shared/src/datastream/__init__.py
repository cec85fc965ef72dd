"""What the Datastream services share."""

from __future__ import annotations

#: The version of everything here: images hold no installed packages that could be asked for theirs.
__version__ = "1.0.0"
#: The number of the last migration whose tables the program knows.
SCHEMA_VERSION = 21
