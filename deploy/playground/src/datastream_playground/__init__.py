"""What tries Datastream without a web server or servers of one's own.

`sample` makes logs, `local` runs private servers, `demo` puts a log through the whole pipeline on
them, and `visitors` are the traffic of the demo in containers. Nothing here runs in production.
"""
