"""What the Datastream services share."""

#: Of everything here: the images hold no packages that could be asked.
from __future__ import annotations

__version__ = "0.1.0"
