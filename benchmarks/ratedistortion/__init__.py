"""The smallest file at equal fidelity: histocodec beside image codecs, and beside what anyone can do by hand."""
