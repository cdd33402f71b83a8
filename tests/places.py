"""Places of files that tests read, and the fixture that finds real ones."""

from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
"""The checkout."""
FindData = Callable[[str], Path]
"""Finds a file or folder of the real slides and tiles by its path among them: the fixture `find_data`."""
NO_DATA = "no data"
"""The beginning of the reason for which tests are skipped that need real slides and tiles."""
