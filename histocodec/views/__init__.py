"""Views of a Decoder: a slide as OpenSlide's, a TIFF, a picture."""
