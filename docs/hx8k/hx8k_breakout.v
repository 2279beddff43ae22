// The tile of config hx8k.json on an iCE40-HX8K breakout board: a clock, eight LEDs, nothing else.
//
// A small program is read byte by byte from a ROM (double.hex) and shifted into words. Planes need no memory: row r gets
// the number r, twice. The tile adds them, and what comes out is compared with 2*r, bit by bit.
//
//   led[0]    the program has ended and every bit was right
//   led[1]    an error, or a wrong bit
//   led[7:2]  the counter cycles.compute, its low bits
module hx8k_breakout #(parameter WORDS = 7) (
  input clk,
  output [7:0] led
);
  localparam BITS = 4, CYCLES_COMPUTE = 1;

  // There is no button: the flip-flops of an iCE40 begin as 0, and the reset lasts for 16 cycles.
  reg [4:0] awake = 5'd0;
  wire rst = !awake[4];
  always @(posedge clk) if (rst) awake <= awake + 5'd1;

  // The program: 16 bytes are a word, the lowest first.
  reg [7:0] rom [0:16*WORDS-1];
  initial $readmemh("double.hex", rom);
  reg [7:0] place;
  reg [7:0] read;
  reg [127:0] word;
  reg [4:0] filled;
  reg reading;
  wire program_ready;
  wire program_valid = filled == 5'd16;
  always @(posedge clk) begin
    read <= rom[place];
    if (rst) begin
      place <= 8'd0;
      filled <= 5'd0;
      reading <= 1'b0;
    end else if (program_valid) begin
      if (program_ready) filled <= 5'd0;
    end else if (!reading) reading <= place != 16 * WORDS;
    else begin
      word <= {read, word[127:8]};
      filled <= filled + 5'd1;
      place <= place + 8'd1;
      reading <= 1'b0;
    end
  end

  // Planes: bit p of the numbers of rows 8*b .. 8*b+7.
  function [7:0] plane(input [2:0] p, input b);
    case (p)
      3'd0: plane = 8'hAA;
      3'd1: plane = 8'hCC;
      3'd2: plane = 8'hF0;
      3'd3: plane = {8{b}};
      default: plane = 8'h00;
    endcase
  endfunction
  reg beat_in, beat_out;
  reg [2:0] plane_in, plane_out;
  wire in_ready, out_valid, done;
  wire [7:0] out;
  wire [3:0] error;
  wire [63:0] cycles;
  reg wrong;
  wire [7:0] wanted = plane_out == 3'd0 ? 8'h00 : plane(plane_out - 3'd1, beat_out);
  always @(posedge clk)
    if (rst) begin
      beat_in <= 1'b0;
      beat_out <= 1'b0;
      plane_in <= 3'd0;
      plane_out <= 3'd0;
      wrong <= 1'b0;
    end else begin
      if (in_ready) begin
        beat_in <= !beat_in;
        if (beat_in) plane_in <= plane_in == BITS - 1 ? 3'd0 : plane_in + 3'd1;
      end
      if (out_valid) begin
        beat_out <= !beat_out;
        if (beat_out) plane_out <= plane_out + 3'd1;
        if (out != wanted) wrong <= 1'b1;
      end
    end

  tile tile (
    .clk(clk), .rst(rst),
    .program__payload(word), .program__valid(program_valid), .program__ready(program_ready),
    .plane_in__payload(plane(plane_in, beat_in)), .plane_in__valid(1'b1), .plane_in__ready(in_ready),
    .plane_out__payload(out), .plane_out__valid(out_valid), .plane_out__ready(1'b1),
    .plane_in_kind(), .plane_out_last(), .state(), .done(done), .error(error), .error_address(),
    .counter_index(CYCLES_COMPUTE[3:0]), .counter_value(cycles)
  );

  assign led = {cycles[5:0], error != 4'd0 || wrong, done && !wrong && plane_out == BITS + 1};
endmodule
