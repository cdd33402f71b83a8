"""Training of generators. Needs torch; nothing else in histocodec imports this package."""
