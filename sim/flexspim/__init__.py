"""Runs macros: their Verilog compiled into this process or in a simulator, and layers mapped to them."""
