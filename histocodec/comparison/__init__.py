"""A slide and what was made of it, side by side: scores, pages, pictures."""
