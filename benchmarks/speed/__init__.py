"""Time, memory, bytes, latency and fidelity: beside libvips and OpenSlide, and beside an earlier commit."""
