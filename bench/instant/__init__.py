"""Engines that answer at once, so that what is measured is the server's own doing.

The server finds them as it finds anybody's engine: by entry points, see bench/plugins.
"""
