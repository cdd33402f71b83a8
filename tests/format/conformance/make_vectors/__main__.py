"""`python -m tests.format.conformance.make_vectors [folder]`."""

import sys
from pathlib import Path

from tests.format.conformance.make_vectors.writing import VECTORS, make

make(Path(sys.argv[1]) if sys.argv[1:] else VECTORS)
