  // What the accelerator is told, and what it shows.
  reg clk, rst;
  reg [ADDRESS_BITS-1:0] awaddr, araddr;
  reg [31:0] wdata;
  reg awvalid, wvalid, bready, arvalid, rready;
  wire awready, wready, bvalid, arready, rvalid;
  wire [31:0] rdata;
  wire [1:0] bresp, rresp;
  wire [FLIT_BITS-1:0] sent, got;
  wire got_valid, got_last, sent_ready;
  reg sent_valid, got_ready;

  accelerator dut (
    .clk(clk), .rst(rst),
    .s_axi_awaddr(awaddr), .s_axi_awprot(3'd0), .s_axi_awvalid(awvalid), .s_axi_awready(awready),
    .s_axi_wdata(wdata), .s_axi_wstrb(4'd15), .s_axi_wvalid(wvalid), .s_axi_wready(wready),
    .s_axi_bresp(bresp), .s_axi_bvalid(bvalid), .s_axi_bready(bready),
    .s_axi_araddr(araddr), .s_axi_arprot(3'd0), .s_axi_arvalid(arvalid), .s_axi_arready(arready),
    .s_axi_rdata(rdata), .s_axi_rresp(rresp), .s_axi_rvalid(rvalid), .s_axi_rready(rready),
    .s_axis_tdata(sent), .s_axis_tvalid(sent_valid), .s_axis_tready(sent_ready), .s_axis_tlast(1'b0),
    .m_axis_tdata(got), .m_axis_tvalid(got_valid), .m_axis_tready(got_ready), .m_axis_tlast(got_last)
  );

  always #5 clk = ~clk;

  // Vectors: steps of four numbers, words for the accelerator, and words that must come, with TLAST above them.
  reg [31:0] steps [0:STEPS_WORDS-1];
  reg [FLIT_BITS-1:0] in_words [0:IN_WORDS-1];
  reg [FLIT_BITS:0] out_words [0:OUT_WORDS-1];

  integer run, place, errors, checks, waited;
  reg address_left, data_left;
  reg [31:0] found;
  reg [1:0] answer;
  reg stalls, drops;
  reg [31:0] in_next, in_end, out_next;
  wire [31:0] access = steps[place];
  wire [31:0] address = steps[place + 1];
  wire [31:0] value = steps[place + 2];
  wire [31:0] mask = steps[place + 3];

  // Streams. A word that was offered stays until it is taken; pauses come from a shift register with feedback.
  reg [31:0] noise;
  assign sent = sent_valid ? in_words[in_next] : {FLIT_BITS{1'b0}};
  wire sent_moves = sent_valid && sent_ready;
  wire [31:0] in_after = drops ? in_end : in_next + {31'd0, sent_moves};
  always @(posedge clk)
    if (rst) begin
      in_next <= 0;
      out_next <= 0;
      sent_valid <= 1'b0;
      got_ready <= 1'b0;
      noise <= 32'd1;
    end else begin
      noise <= {noise[30:0], noise[31] ^ noise[21] ^ noise[1] ^ noise[0]};
      in_next <= in_after;
      if (!sent_valid || sent_moves || drops) sent_valid <= in_after != in_end && !(stalls && noise[3]);
      got_ready <= !(stalls && noise[7]);
      if (got_valid && got_ready) begin
        if (out_next < OUT_WORDS) check({got_last, got} === out_words[out_next], "a word for the host");
        else check(1'b0, "the number of words for the host");
        out_next <= out_next + 1;
      end
    end

  task check(input good, input [8*60-1:0] what);
    begin
      checks = checks + 1;
      if (good !== 1'b1) begin
        errors = errors + 1;
        if (errors <= SHOWN) $display("step %0d: %0s differs", place / 4, what);
      end
    end
  endtask

  // A clock cycle of a step.
  task tick;
    begin
      @(posedge clk);
      waited = waited + 1;
      if (waited > LIMIT) give_up;
    end
  endtask

  task write(input [31:0] at, input [31:0] data);
    begin
      awaddr <= at;
      wdata <= data;
      awvalid <= 1'b1;
      wvalid <= 1'b1;
      bready <= 1'b1;
      address_left = 1'b1;
      data_left = 1'b1;
      while (address_left || data_left) begin
        tick;
        if (awvalid && awready) begin
          awvalid <= 1'b0;
          address_left = 1'b0;
        end
        if (wvalid && wready) begin
          wvalid <= 1'b0;
          data_left = 1'b0;
        end
      end
      tick;
      while (!bvalid) tick;
      check(bresp === 2'd0, "the answer to a write");
      bready <= 1'b0;
      tick;
    end
  endtask

  task read(input [31:0] at);
    begin
      araddr <= at;
      arvalid <= 1'b1;
      rready <= 1'b1;
      tick;
      while (!(arvalid && arready)) tick;
      arvalid <= 1'b0;
      tick;
      while (!rvalid) tick;
      found = rdata;
      answer = rresp;
      rready <= 1'b0;
      tick;
    end
  endtask

  task give_up;
    begin
      check(1'b0, "the end of the step, which does not come,");
      finish;
      forever @(posedge clk);
    end
  endtask

  // Ends the simulation; where something failed, with another status than 0, for which simulators have no common way.
  task finish;
    begin
      if (errors == 0) begin
        $display("PASS: %0s, %0d runs, %0d checks", TITLE, RUNS, checks);
        $finish;
      end else begin
        $display("FAIL: %0s, %0d of %0d checks", TITLE, errors, checks);
`ifdef __ICARUS__
        $finish_and_return(1);
`elsif VERILATOR
        $fatal;
`else
        $stop;
`endif
      end
    end
  endtask

  reg [8*1024-1:0] folder, waves;
  reg [8*1152-1:0] file;

  initial begin
    if (!$value$plusargs("vectors=%s", folder)) folder = `BFIMNA_VECTORS;
    $sformat(file, "%0s/%0s_steps.hex", folder, NAME);
    $readmemh(file, steps);
    $sformat(file, "%0s/%0s_in.hex", folder, NAME);
    $readmemh(file, in_words);
    $sformat(file, "%0s/%0s_out.hex", folder, NAME);
    $readmemh(file, out_words);
    if ($value$plusargs("waves=%s", waves)) begin
      $dumpfile(waves);
      $dumpvars(0, dut);
    end
    clk = 1'b0;
  end

  // Steps one after the other.
  always begin : all_steps
    rst <= 1'b1;
    awaddr <= 0;
    araddr <= 0;
    wdata <= 0;
    awvalid <= 1'b0;
    wvalid <= 1'b0;
    bready <= 1'b0;
    arvalid <= 1'b0;
    rready <= 1'b0;
    in_end <= 0;
    stalls <= 1'b0;
    drops <= 1'b0;
    errors = 0;
    checks = 0;
    run = 0;
    place = 0;
    waited = 0;
    @(posedge clk);
    @(posedge clk);
    rst <= 1'b0;
    @(posedge clk);
    if (steps[0] !== SAY) begin
      $display("the files %0s_*.hex must be in folder %0s; see +vectors", NAME, folder);
      errors = 1;
    end
    while (access != END && errors == 0) begin
      waited = 0;
      case (access)
        SAY: begin
          run = value;
          say("begins");
        end
        WRITE: write(address, value);
        READ: begin
          read(address);
          check(answer === 2'd0 && ((found ^ value) & mask) === 32'd0, "a register");
          if (errors != 0) $display("  register %h is %h, not %h in the bits %h", address, found, value, mask);
        end
        POLL: begin
          read(address);
          while (((found ^ value) & mask) !== 32'd0) read(address);
        end
        REFUSED: begin
          read(address);
          check(answer === 2'd2, "the answer to an access that must be refused");
        end
        STREAM: begin
          in_end <= in_end + value;
          stalls <= mask != 0;
        end
        TAKEN: check(in_next === in_end, "the number of words taken");
        DROP: drops <= 1'b1;
        default: check(1'b0, "the kind of a step");
      endcase
      @(posedge clk);
      drops <= 1'b0;
      place = place + 4;
      @(posedge clk);
    end
    if (errors == 0) check(out_next == OUT_WORDS, "the number of words for the host");
    finish;
    forever @(posedge clk);
  end
endmodule
