"""Spiking networks: their description, the events they take, where their operands stay, and how they are run."""
