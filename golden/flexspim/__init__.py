"""Models of a macro without hardware: bits, plain numbers, and the laws of its cycles."""
