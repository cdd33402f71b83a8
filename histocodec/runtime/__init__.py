"""Threads, disk and memory. Nothing here knows what a slide is."""
