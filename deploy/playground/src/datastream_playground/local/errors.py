"""The errors of the private servers."""

from __future__ import annotations


class CannotServe(Exception):
    """The servers' programs are missing and cannot be installed. The text says what to do."""


class DidNotStart(Exception):
    """A server was started and did not come up. The text ends with the tail of its log."""


class FolderInUse(Exception):
    """Another run owns this data folder. The text says which process."""
