"""Whole networks by the laws alone: cycles, events, energy."""
