"""Arithmetic on 8-bit RGB pixels. Nothing here reads a slide, and nothing needs torch."""
