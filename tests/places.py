"""Places of the files that tests read: the checkout, and the real slides and tiles where they are at hand."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
"""The checkout."""
DATA = Path(os.environ.get("HISTOCODEC_DATA", REPOSITORY.parent / "shared" / "data"))
"""The real slides and tiles, `$HISTOCODEC_DATA`; `benchmarks/README.md` says how to get them."""
