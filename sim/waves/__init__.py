"""Waves of a tile for people: small files, signals in a readable order, texts in place of numbers, and the passes.

GTKWave reads three kinds of files beside each other: the waves (VCD or FST), a save file that chooses and orders
signals, and translation files that the save file names, with a text for each value of a signal.
"""

from __future__ import annotations

from sim.waves.gtkwave import save_file, translations
from sim.waves.recording import Variable, read_header, tidy, whole
from sim.waves.signals import GROUPS, TRANSLATED

__all__ = ["GROUPS", "TRANSLATED", "Variable", "read_header", "save_file", "tidy", "translations", "whole"]
