// A bank of config tiny made of a macro: takes the place of the behavioural module of the same name.
//
// The wrapper turns the two kinds of writes into one, as they never come in the same cycle: columns that are selected
// take one bit each in the rows that are selected, or, for the plane port, one bit for each row.
module cam_bank_16x32 (
  input clk,
  input [31:0] mask, key,
  output [15:0] match,
  input [31:0] write_mask, write_key,
  input [15:0] write_rows,
  input [4:0] port_column,
  output [15:0] port_data,
  input port_write,
  input [3:0] port_blocks,
  input [15:0] port_planes
);
  localparam ROWS = 16, COLUMNS = 32, BLOCKS = 4;

  // Each bit of port_blocks stands for ROWS / BLOCKS rows.
  wire [ROWS-1:0] port_rows;
  genvar row;
  generate
    for (row = 0; row < ROWS; row = row + 1) begin : spread
      assign port_rows[row] = port_blocks[row / (ROWS / BLOCKS)];
    end
  endgenerate
  wire [COLUMNS-1:0] port_select = {{(COLUMNS-1){1'b0}}, 1'b1} << port_column;

  cam_macro #(.ROWS(ROWS), .COLUMNS(COLUMNS), .BITS(5)) cells (
    .clk(clk),
    .search_mask(mask), .search_key(key), .match(match),
    .column_select(port_write ? port_select : write_mask),
    .row_select(port_write ? port_rows : write_rows),
    .by_row(port_write), .column_data(write_key), .row_data(port_planes),
    .read_column(port_column), .read_data(port_data)
  );
endmodule

// Stands for the macro: replace it by yours, and by its timing model for synthesis.
module cam_macro #(parameter ROWS = 16, COLUMNS = 32, BITS = 5) (
  input clk,
  input [COLUMNS-1:0] search_mask, search_key,
  output [ROWS-1:0] match,
  input [COLUMNS-1:0] column_select, column_data,
  input [ROWS-1:0] row_select, row_data,
  input by_row,
  input [BITS-1:0] read_column,
  output [ROWS-1:0] read_data
);
  genvar row;
  generate
    for (row = 0; row < ROWS; row = row + 1) begin : word
      reg [COLUMNS-1:0] cells;
      wire [COLUMNS-1:0] written = by_row ? {COLUMNS{row_data[row]}} : column_data;
      always @(posedge clk)
        if (row_select[row]) cells <= (cells & ~column_select) | (written & column_select);
      assign match[row] = ((cells ^ search_key) & search_mask) == 0;
      assign read_data[row] = cells[read_column];
    end
  endgenerate
endmodule
