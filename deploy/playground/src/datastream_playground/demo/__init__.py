"""The whole pipeline on this machine, without Docker: `datastream demo` and `datastream follow`.

A private RabbitMQ and a private MySQL-compatible server, the three services as processes, two clean
consumers among them, a log, and a report that compares the tables with the log itself.
"""

from __future__ import annotations

from datastream_playground.demo.command import add_arguments, add_follow_arguments

__all__ = ["add_arguments", "add_follow_arguments"]
