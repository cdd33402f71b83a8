"""Training a generator on with the tissue of a few slides."""
