"""What stands on a Decoder: an OpenSlide-like slide, TIFF and picture export."""
