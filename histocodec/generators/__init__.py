"""Base pixels to full-resolution pixels, and the learned way down; the packages that ship."""
