"""The command line: parse, call, print. Results go to stdout, progress and messages to stderr."""

import os

# Blocks and tiles keep the cores busy. With threads of its own, the library behind numpy's products was seen to hang
# beside them; it reads this when numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from .root import app, main

__all__ = ["app", "main"]
