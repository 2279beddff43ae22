"""Work on one tile shared out: parts of layers as units, what runs them, and a journal of what is finished."""
