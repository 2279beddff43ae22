  // What the tile is told, and what it shows.
  reg clk, rst;
  wire [127:0] program__payload;
  wire program__valid, program__ready;
  wire [PLANE_BITS-1:0] plane_in__payload, plane_out__payload;
  wire plane_in__valid, plane_in__ready, plane_out__valid, plane_out__ready;
  wire [KIND_BITS-1:0] plane_in_kind;
  wire plane_out_last, done;
  wire [STATE_BITS-1:0] state;
  wire [ERROR_BITS-1:0] error;
  wire [31:0] error_address;
  reg [INDEX_BITS-1:0] counter_index;
  wire [63:0] counter_value;

  tile dut (
    .clk(clk), .rst(rst),
    .program__payload(program__payload), .program__valid(program__valid), .program__ready(program__ready),
    .plane_in__payload(plane_in__payload), .plane_in__valid(plane_in__valid), .plane_in__ready(plane_in__ready),
    .plane_out__payload(plane_out__payload), .plane_out__valid(plane_out__valid), .plane_out__ready(plane_out__ready),
    .plane_in_kind(plane_in_kind), .plane_out_last(plane_out_last), .state(state), .done(done),
    .error(error), .error_address(error_address),
    .counter_index(counter_index), .counter_value(counter_value)
  );

  always #5 clk = ~clk;

  // Vectors: words of all runs one after the other, and a row of numbers for each run.
  reg [127:0] program_words [0:PROGRAM_WORDS-1];
  reg [KIND_BITS+PLANE_BITS-1:0] in_words [0:IN_WORDS-1];
  reg [PLANE_BITS:0] out_words [0:OUT_WORDS-1];
  reg [63:0] table_words [0:RUNS_WORDS-1];

  // The run under way.
  integer run, row, errors, checks, index, age, elapsed, stood, since;
  reg running, begins, counting, stalls, gave_up;
  reg [31:0] program_next, program_end, in_next, in_end, out_next, out_end;

  // Streams. A word that was offered stays until it is taken; pauses come from a shift register with feedback.
  reg [31:0] noise;
  reg program_offered, in_offered, out_pauses;
  assign program__valid = program_offered;
  assign program__payload = program_offered ? program_words[program_next] : 128'd0;
  assign plane_in__valid = in_offered;
  assign plane_in__payload = in_offered ? in_words[in_next][PLANE_BITS-1:0] : {PLANE_BITS{1'b0}};
  assign plane_out__ready = running && !out_pauses;
  wire program_moves = program__valid && program__ready;
  wire in_moves = plane_in__valid && plane_in__ready;
  wire out_moves = plane_out__valid && plane_out__ready;
  wire [31:0] program_after = program_next + {31'd0, program_moves};
  wire [31:0] in_after = in_next + {31'd0, in_moves};

  // The tile stands still for a stream: it waits for a beat, for a beat to be taken, or for an instruction.
  wire stands = (plane_in__ready && !plane_in__valid) || (plane_out__valid && !plane_out__ready)
              || (state == STATE_PROGRAM);

  always @(posedge clk) begin
    noise <= {noise[30:0], noise[31] ^ noise[21] ^ noise[1] ^ noise[0]};
    age <= running ? age + 1 : 0;
    if (errors != 0) since <= since + 1;
    if (!running) begin
      program_offered <= 1'b0;
      in_offered <= 1'b0;
      out_pauses <= 1'b0;
      begins <= 1'b0;
      counting <= 1'b0;
      if (rst) begin
        // What an error or a reset left of a run is skipped.
        program_next <= program_end;
        in_next <= in_end;
        out_next <= out_end;
      end
    end else begin
      program_next <= program_after;
      in_next <= in_after;
      if (!program_offered || program_moves)
        program_offered <= program_after != program_end && !(stalls && noise[3]);
      if (!in_offered || in_moves)
        in_offered <= in_after != in_end && !(stalls && noise[7]);
      out_pauses <= stalls && noise[12] && noise[13];
      // The time of a run goes from two cycles after its header to the one before its end shows.
      begins <= begins || program_moves;
      counting <= begins;
      if (!counting) begin
        elapsed <= 0;
        stood <= 0;
      end else if (!done && error == 0) begin
        elapsed <= elapsed + 1;
        if (stands) stood <= stood + 1;
      end
    end
  end

  // What comes out.
  always @(posedge clk)
    if (running && out_moves) begin
      if (out_next == out_end) check(table_words[row + RESET_AFTER] != 0, "the end of plane_out");
      else begin
        check({plane_out_last, plane_out__payload} === out_words[out_next], "a beat of plane_out");
        out_next <= out_next + 1;
      end
    end
  always @(posedge clk)
    if (running && in_moves)
      check(plane_in_kind === in_words[in_next][KIND_BITS+PLANE_BITS-1:PLANE_BITS], "plane_in_kind");

  task check(input good, input [8*60-1:0] what);
    begin
      checks = checks + 1;
      if (good !== 1'b1) begin
        errors = errors + 1;
        if (errors <= SHOWN) $display("run %0d, cycle %0d: %0s differs", run, elapsed, what);
      end
    end
  endtask

  task compare(input [63:0] found, input [63:0] wanted, input [8*60-1:0] what);
    begin
      checks = checks + 1;
      if (found !== wanted) begin
        errors = errors + 1;
        if (errors <= SHOWN) $display("run %0d: %0s is %0d, not %0d", run, what, found, wanted);
      end
    end
  endtask

  task reset;
    begin
      rst <= 1'b1;
      @(posedge clk);
      @(posedge clk);
      rst <= 1'b0;
      @(posedge clk);
    end
  endtask

  // Begin the run whose numbers are in the table from row on, and wait for its end.
  task execute;
    begin
      stalls <= table_words[row + STALLS] != 0;
      program_end <= program_end + table_words[row + WORDS];
      in_end <= in_end + table_words[row + BEATS_IN];
      out_end <= out_end + table_words[row + BEATS_OUT];
      running <= 1'b1;
      @(posedge clk);
      @(posedge clk);
      if (table_words[row + RESET_AFTER] != 0)
        while (age < table_words[row + RESET_AFTER]) @(posedge clk);
      else
        while (!(counting && (done || error != 0)) && age < table_words[row + LIMIT] && since < SINCE) @(posedge clk);
      gave_up = age >= table_words[row + LIMIT];
      running <= 1'b0;
      @(posedge clk);
      @(posedge clk);
    end
  endtask

  task verify;
    begin
      compare(error, table_words[row + ERROR], "error");
      compare(error_address, table_words[row + ERROR_ADDRESS], "error_address");
      compare(done, table_words[row + ERROR] == 0, "done");
      if (table_words[row + ERROR] == 0) begin
        compare(elapsed, table_words[row + CYCLES] + stood, "the time of the run");
        compare(program_next, program_end, "the number of program words taken so far");
        compare(in_next, in_end, "the number of beats taken so far");
        compare(out_next, out_end, "the number of beats given so far");
        check(!stalls || stood != 0, "a run whose streams stall, and in which the tile never stood still,");
      end
      for (index = 0; index < COUNTERS; index = index + 1) begin
        counter_index <= index;
        @(posedge clk);
        @(posedge clk);
        if (table_words[row + COUNTED][index]) begin
          if (index == STALL_COUNTER && table_words[row + ERROR] == 0)
            compare(counter_value, stood, "the counter of stalls");
          else if (counter_value !== table_words[row + FIRST_COUNTER + index]) begin
            compare(counter_value, table_words[row + FIRST_COUNTER + index], "a counter");
            if (errors <= SHOWN) $display("  its index is %0d", index);
          end else checks = checks + 1;
        end
      end
    end
  endtask

  // Ends the simulation; where something failed, with another status than 0, for which simulators have no common way.
  task finish;
    begin
      if (errors == 0) begin
        $display("PASS: %0s, %0d runs, %0d checks", TITLE, run, checks);
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
    $sformat(file, "%0s/%0s_program.hex", folder, NAME);
    $readmemh(file, program_words);
    $sformat(file, "%0s/%0s_in.hex", folder, NAME);
    $readmemh(file, in_words);
    $sformat(file, "%0s/%0s_out.hex", folder, NAME);
    $readmemh(file, out_words);
    $sformat(file, "%0s/%0s_runs.hex", folder, NAME);
    $readmemh(file, table_words);
    if ($value$plusargs("waves=%s", waves)) begin
      $dumpfile(waves);
      $dumpvars(0, dut);
    end
    clk = 1'b0;
    noise = 32'h1;
    since = 0;
    program_next = 0;
    in_next = 0;
    out_next = 0;
  end

  // Runs one after the other.
  always begin : all_runs
    rst <= 1'b1;
    running <= 1'b0;
    stalls <= 1'b0;
    counter_index <= 0;
    program_end <= 0;
    in_end <= 0;
    out_end <= 0;
    errors = 0;
    checks = 0;
    run = 0;
    row = 1;
    @(posedge clk);
    if (table_words[0] !== CONFIG_HASH) begin
      $display("the files %0s_*.hex must be in folder %0s and of this config; see +vectors", NAME, folder);
      errors = 1;
    end else begin
      reset;
      for (run = 0; run < RUNS && errors == 0; run = run + 1) begin
        execute;
        if (gave_up) check(1'b0, "the end, which does not come,");
        if (errors == 0 && table_words[row + RESET_AFTER] == 0) verify;
        say(errors != 0 ? "failed" : table_words[row + RESET_AFTER] != 0 ? "reset" : "ended");
        if (error != 0 || table_words[row + RESET_AFTER] != 0) reset;
        row = row + ROW_WORDS;
      end
    end
    finish;
    forever @(posedge clk);
  end
endmodule
