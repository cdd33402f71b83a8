"""The bytes of a container and their meaning, read and written. Nothing here predicts pixels."""
