"""Engines: what computes a network. All give the same bits; they differ in speed, and in where they run."""
