"""Patches, and the pairs of base and original that a training draws from them."""
