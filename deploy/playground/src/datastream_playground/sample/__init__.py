"""Sample access logs, seeded, each with the truth about its lines beside it.

The command `datastream sample` and the demo write them, and the tests of the parser check
themselves against their truth. Three formats: `combined` (nginx's default), `common` (the same
without referrer and user agent) and `proxy` (absolute URLs, sessions, users, a lone `-` last).

They hold two kinds of junk, as every real log does:

- A junk *request* stands in a well-formed line: a TLS handshake sent to a plain port, a scanner's
  probe, nothing at all. The line parses; method, URL and HTTP version are null, and `extra` holds
  what was sent, `{"request": text}`.
- A junk *line* fits the format nowhere: a torn line, a line of the error log, an empty one, an
  impossible date. About one line in two hundred; a parser must reject each, with a reason.

Every address is from the ranges kept for documentation, and so is every domain.
"""

from __future__ import annotations

from datastream_playground.sample.command import add_arguments, run
from datastream_playground.sample.files import Summary, read_truth, truth_path, write
from datastream_playground.sample.lines import FORMATS, Expected, Format, Truth, generate

__all__ = [
    "FORMATS",
    "Expected",
    "Format",
    "Summary",
    "Truth",
    "add_arguments",
    "generate",
    "read_truth",
    "run",
    "truth_path",
    "write",
]
