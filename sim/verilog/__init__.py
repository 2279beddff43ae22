"""What stands beside the generated Verilog: description, constraints, FuseSoC core, test bench and its vectors."""
