// A bank of config tiny with array 3r1w made of memories with one write and one read port, as vendors have them: one
// for each read port, all written alike.
module column_bank_16x32_3r1w (
  input clk,
  input [4:0] x_address, y_address, port_address,
  output [15:0] x_data, y_data, port_data,
  input [4:0] write_address,
  input [15:0] write_data,
  input write_enable
);
  memory_1r1w x (.clk(clk), .write_enable(write_enable), .write_address(write_address), .write_data(write_data),
                 .read_address(x_address), .read_data(x_data));
  memory_1r1w y (.clk(clk), .write_enable(write_enable), .write_address(write_address), .write_data(write_data),
                 .read_address(y_address), .read_data(y_data));
  memory_1r1w port (.clk(clk), .write_enable(write_enable), .write_address(write_address), .write_data(write_data),
                    .read_address(port_address), .read_data(port_data));
endmodule

// Stands for the vendor's memory, whose reads must be asynchronous.
module memory_1r1w #(parameter COLUMNS = 32, ROWS = 16, BITS = 5) (
  input clk,
  input write_enable,
  input [BITS-1:0] write_address, read_address,
  input [ROWS-1:0] write_data,
  output [ROWS-1:0] read_data
);
  reg [ROWS-1:0] store [0:COLUMNS-1];
  always @(posedge clk) if (write_enable) store[write_address] <= write_data;
  assign read_data = store[read_address];
endmodule
