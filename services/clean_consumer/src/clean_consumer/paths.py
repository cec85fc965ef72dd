"""The type of the file that the path of a URL names."""

from __future__ import annotations

FILE_TYPE_LIMIT = 16


def file_type(path: str) -> str | None:
    """Return the extension of the last part of a path, in lower case: `css` of `/a/b.min.css`.

    None where there is none: in `/a/b`, a hidden file (`/.env`), a number (`/v1.2`).
    """
    stem, _dot, extension = path[path.rfind("/") + 1 :].rpartition(".")
    if (
        stem
        and len(extension) <= FILE_TYPE_LIMIT
        and extension.isascii()
        and extension.isalnum()
        and not extension.isdigit()
    ):
        return extension.lower()
    return None
