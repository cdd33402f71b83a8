"""The demonstration, and the synthetic slide that it shows."""
