"""Measurements of histocodec, and the slides that they are made on. Not part of the installed package."""
