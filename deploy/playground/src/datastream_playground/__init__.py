"""Everything to try Datastream with no web server, broker or database of your own.

`sample` makes logs, `local` runs private servers, `demo` puts a log through the whole pipeline on
them, and `visitors` makes the traffic of the demo in containers. Nothing here runs in production.
"""
