"""The golden side: bit-level tile, integer operators and cycle laws in NumPy, with no hardware description."""
