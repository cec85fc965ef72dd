"""What can go wrong with the private servers, named by what the caller should do about it."""

from __future__ import annotations


class CannotServe(Exception):
    """Nothing can be run on this system. The text says what to type, or where else to go."""


class DidNotStart(Exception):
    """A server was started and did not come up. The text ends with the tail of its log."""


class FolderInUse(Exception):
    """Another run owns this data folder. The text says which process."""
