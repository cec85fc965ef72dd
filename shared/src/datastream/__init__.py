"""What the Datastream services share."""

from __future__ import annotations

#: The version of everything here: images hold no installed packages that could be asked for theirs.
__version__ = "0.1.0"
