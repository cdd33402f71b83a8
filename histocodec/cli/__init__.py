"""The command line: parse, call, print. Results go to stdout, progress and messages to stderr."""

from .root import app, main

__all__ = ["app", "main"]
