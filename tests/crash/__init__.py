"""Commands that end in the middle: killed, without room, with a slide that changes, or two at once.

`python -m tests.crash --moments 1000` does it in full; `test_crash.py` a part of it.
"""
