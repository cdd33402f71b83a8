"""Fuzzing that stays: inputs that nobody would write, for everything that reads what came from elsewhere.

`python -m tests.fuzz --seconds 60` runs all harnesses for a minute; docs/fuzzing.md says how it works, and what it
found.
"""
