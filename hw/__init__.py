"""Everything that becomes Verilog, and the frozen configs (plain Python) that size it."""
