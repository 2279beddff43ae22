"""The studies of the BF-IMNA paper that can be repeated on laws: each has its configs, one command and its citation."""
