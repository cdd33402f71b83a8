"""What the bytes of a container mean, read and written. Nothing here predicts pixels."""
