"""Makes `formats/container/v1/vectors` anew: `python -m tests.format.conformance.make_vectors [folder]`.

Valid files come from the writer of `histocodec`, one from `surgery.put_together`, a second writer; hostile files are
made from valid ones, each with one thing wrong. What the layers hold is painted, not found by the encoder. The same
versions of the libraries that `valid/index.json` names give the same bytes, as long as the writer words and lays out
files as it does. Vectors are made anew when the format changes, and then its CHANGELOG says which, and why.
"""
