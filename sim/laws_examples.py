"""An example of every form of every instruction, and what others take for the same: the data of ``docs/laws.md``.

Numbers of others keep their certainty: what was read in the source, what follows from something read, and what is only
remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = [
    "EXAMPLES", "FUNCTIONS", "PORT_EXAMPLES", "SOURCES", "STEPS_OF_OTHERS", "Certainty", "Example", "Function", "Other",
]  # fmt: skip


class Certainty(Enum):
    """How much is known of a number of others."""

    READ = "read"
    DERIVED = "derived"
    UNVERIFIED = "unverified"


@dataclass(frozen=True)
class Other:
    """What others take, and why ours differs.

    Parameters
    ----------
    source : key of :data:`SOURCES`.
    certainty : of the number.
    formula : cycles, an expression of A, B and other numbers of the example; empty where there is no such number.
    why : a sentence that goes on from "lower: ", "equal: " or "higher: ", or a whole one where there is no number.
    """

    source: str
    certainty: Certainty
    formula: str
    why: str


@dataclass(frozen=True)
class Example:
    """A form of an instruction on operands of some width.

    Parameters
    ----------
    form : what makes it a form of its own; empty for the plain one.
    line : assembler text.
    others : what it is compared with.
    before, after : assembler text that runs before and after, uncounted.
    skipped : leading zero planes that a DOT finds after that.
    """

    form: str
    line: str
    others: tuple[Other, ...] = ()
    before: str = ""
    after: str = "HALT"
    skipped: int = 0


@dataclass(frozen=True)
class Function:
    """A whole function, from planes to planes: its program, and what others take for loads, passes and read-out."""

    name: str
    text: str
    formula: str
    why: str


SOURCES: dict[str, str] = {
    "BF-IMNA": "Rakka et al., arXiv:2411.01417",
    "BISMO": "a matrix multiplier for FPGAs, arXiv:1901.00370; loops in its repository EECS-NTNU/bismo",
    "CAPE": (
        "Caminal et al., HPCA 2021; its latencies as the repository arkhadem/MVE has them in "
        "simulator/data/ac_intrinsics_latency.csv, accesses and computation together"
    ),
    "FFT-AP": "Yantir et al., doi:10.3390/mi10080509; its truth table of addition and subtraction",
    "FPGA-AP": (
        "Tian et al., doi:10.1109/TCSII.2023.3261702; passes of additions and signs in its repository "
        "hongzhengTian/Associative-Processor-on-FPGA, at two cycles a pass (its controller takes longer); a product is "
        "an addition for each bit of the multiplier"
    ),
    "Hyper-AP": "Zha and Li, ISCA 2020; abstract",
    "Loom": "DAC 2018; cycle rules of the simulator isakedo/DNNsim",
    "model": "the plain compare/write model: the fewest passes of two cycles that change all states that must change",
    "RTM-AP": "de Lima et al., arXiv:2401.12630; constant weights by its abstract, an addition for each is derived",
    "TAP": "Hout et al., arXiv:2110.09643; abstract",
    "US 6,757,703": "patent; abstract",
    "US 6,832,234": "patent; abstract",
}
"""Where numbers of others are from."""

_READ, _DERIVED, _UNVERIFIED = Certainty.READ, Certainty.DERIVED, Certainty.UNVERIFIED
_CARRY = "one write prepares the carry column, which tables of passes take for granted"
_AT_ONCE = "its sub-arrays hold one bit of all words each and work at once; here it is a column after the other"

_ADDITION = (
    Other("FPGA-AP", _DERIVED, "8*A", f"four passes a bit as there, and {_CARRY}"),
    Other("CAPE", _READ, "8*A + 2", "one cycle of preparation instead of two"),
)
_ADDITION_BY_TAGS = Other(
    "US 6,757,703", _READ, "3*A", "there the carry stays in a tag register with logic of its own; here it is a column"
)
_APART = (Other("model", _DERIVED, "10*A", f"five passes a bit as there, and {_CARRY}"),)
_IN_PLACE = (
    Other("model", _DERIVED, "2*A", "one pass a bit changes the one state that changes"),
    Other("CAPE", _READ, "3", _AT_ONCE),
)
_OUT_OF_PLACE = (
    Other("model", _DERIVED, "3*A", "a write to all rows, a compare and a write to the tagged ones"),
    Other("CAPE", _READ, "3", _AT_ONCE),
)
_EXTREME = (
    Other("model", _DERIVED, "8*A + 1", "the tags hold the order from bit to bit, so no flag columns are written"),
    Other("CAPE", _READ, "3*A + 8", "two compares a bit instead of three cycles, but the copy is made bit by bit"),
)

EXAMPLES: tuple[Example, ...] = (
    Example(
        "",
        "DOT a=0:8 b=8:8",
        (
            Other(
                "FPGA-AP", _DERIVED, "8*A*B",
                "pairs of bit planes are compared and tagged rows counted, so nothing is written; there this is the "
                "time of the products alone, their sum comes on top",
            ),
            Other("BISMO", _READ, "A*B", "the same pairs of bit planes; one cycle more adds the fill to the total"),
        ),
        before="INIT 0",
    ),
    Example(
        "SKIP",
        "DOT skip a=0:8 b=8:8",
        (Other("Loom", _READ, "(A - s)*B", "planes are found by s + 1 compares, and one cycle adds the fill"),),
        before="INIT 0\nSET d=0:5\nCLEAR d=5:3",
        skipped=3,
    ),
    Example("", "FILL d=0:8 constant=85", (Other("CAPE", _READ, "1", _AT_ONCE),)),
    Example("predicated", "FILL d=0:8 constant=85 where=8"),
    Example("", "COPY a=0:8 d=8", (Other("CAPE", _READ, "2", _AT_ONCE),)),
    Example("predicated", "COPY a=0:8 d=8 where=16"),
    Example(
        "", "NOT a=0:8 d=8",
        (Other("model", _DERIVED, "3*A", "a write to all rows, a compare and a write to the tagged ones"),),
    ),
    Example("predicated", "NOT a=0:8 d=8 where=16"),
    Example("", "AND a=0:8 b=8:8 d=16", _OUT_OF_PLACE),
    Example("in place", "AND a=0:8 b=8:8 d=8", _IN_PLACE),
    Example("", "OR a=0:8 b=8:8 d=16", _OUT_OF_PLACE),
    Example("in place", "OR a=0:8 b=8:8 d=8", _IN_PLACE),
    Example(
        "", "XOR a=0:8 b=8:8 d=16",
        (
            Other(
                "model", _DERIVED, "5*A",
                "two compares mark the rows before the first write, so one write serves both, also in place, where "
                "plain passes have no order at all",
            ),
            Other("CAPE", _READ, "4", _AT_ONCE),
        ),
    ),
    Example("", "ADD a=0:8 b=8:8 d=16", (*_ADDITION, _ADDITION_BY_TAGS)),
    Example("a signed", "ADD a=0:6 b=8:8 d=16 signed=a"),
    Example("", "SUB a=0:8 b=8:8 d=16", _ADDITION),
    Example("a signed", "SUB a=0:6 b=8:8 d=16 signed=a"),
    Example(
        "", "RSUB a=0:8 b=8:8 d=16",
        (
            Other(
                "model", _DERIVED, "10*A + A",
                f"no order of passes makes a - b in place, so the result is inverted afterwards; {_CARRY}",
            ),
        ),
    ),
    Example("a signed", "RSUB a=0:6 b=8:8 d=16 signed=a"),
    Example("", "SUM a=0:8 b=8:8 d=16", _APART),
    Example("a signed", "SUM a=0:6 b=8:8 d=16 signed=a"),
    Example("", "DIFF a=0:8 b=8:8 d=16", _APART),
    Example("a signed", "DIFF a=0:6 b=8:8 d=16 signed=a"),
    Example("", "RDIFF a=0:8 b=8:8 d=16", _APART),
    Example("a signed", "RDIFF a=0:6 b=8:8 d=16 signed=a"),
    Example(
        "", "ADDC b=0:8 constant=88 d=8",
        (Other("model", _DERIVED, "4*B", f"two passes for a known bit as there, and {_CARRY}"),),
    ),
    Example(
        "SPARSE", "ADDC sparse b=0:8 constant=88 d=8",
        (Other("model", _DERIVED, "4*B", "zero bits below the lowest one of the constant are left out"),),
    ),
    Example(
        "", "MUL a=0:8 b=8:8 d=16",
        (
            Other(
                "FPGA-AP", _DERIVED, "8*A*B",
                "an addition for each bit of the multiplier; the carry is the product's next column, which needs no "
                "clearing",
            ),
            Other(
                "CAPE", _READ, "4*A**2 + 4*A",
                "about 4 cycles for each pair of bits, half of what four passes take; how was not read",
            ),
        ),
        before="CLEAR d=16:16",
    ),
    Example("a signed", "MUL a=0:8 b=8:8 d=16 signed=ab p=32", before="CLEAR d=16:16"),
    Example(
        "", "MULC b=0:8 constant=34:7 d=8",
        (Other("FPGA-AP", _DERIVED, "8*A*B", "a known bit needs two passes where an unknown one needs four"),),
        before="CLEAR d=8:15",
    ),
    Example(
        "SPARSE", "MULC sparse b=0:8 constant=34:7 d=8",
        (
            Other(
                "RTM-AP", _DERIVED, "8*ones*B",
                "one addition of four passes a bit for each one of the constant; bits that are 0 take no time",
            ),
        ),
        before="CLEAR d=8:15",
    ),
    Example("SPARSE, b signed", "MULC sparse b=0:8 constant=34:7 d=8 signed=b p=24", before="CLEAR d=8:15"),
    Example("", "MAX a=0:8 b=8:8 d=16", _EXTREME),
    Example("a signed", "MAX a=0:6 b=8:8 d=16 signed=a"),
    Example("", "MIN a=0:8 b=8:8 d=16", _EXTREME),
    Example("a signed", "MIN a=0:6 b=8:8 d=16 signed=a"),
    Example("", "MAXC b=0:8 constant=85"),
    Example("", "MINC b=0:8 constant=85"),
    Example("", "CLAMP b=0:8 low=0 high=6"),
    Example(
        "", "RELU b=0:8",
        (
            Other(
                "model", _DERIVED, "3 + 2*(B - 1)",
                "the sign is compared once and stays in the tags, so every bit takes one write and no compare",
            ),
        ),
    ),
    Example(
        "", "NEG a=0:8 d=8 p=16",
        (Other("FPGA-AP", _DERIVED, "6*A", "three passes a bit become two compares and two writes"),),
    ),
    Example(
        "", "ABS a=0:8 d=8 p=16",
        (Other("FPGA-AP", _DERIVED, "8*A", "four passes a bit become three compares and three writes"),),
    ),
    Example(
        "EQ", "CMP eq a=0:8 b=8:8 d=16",
        (Other("CAPE", _READ, "A + 4", "here the two patterns of a bit that differs take a compare each"),),
    ),
    Example(
        "LT", "CMP lt a=0:8 b=8:8 d=16",
        (Other("CAPE", _READ, "3*A + 6", "two compares a bit add rows to the tags and take them away"),),
    ),
    Example("LT, a signed", "CMP lt a=0:6 b=8:8 d=16 signed=a"),
    Example("LT", "CMPC lt b=0:8 constant=85 d=8"),
    Example("", "MOVE a=0:8 d=8 blocks=1"),
    Example(
        "SHIFT", "REDUCE shift d=0:11 words=7:8 p=11",
        (
            Other(
                "US 6,832,234", _READ, "",
                "numbers of neighbouring rows are added in 2 cycles a bit there, by logic at the tags; here every bit "
                "goes through the tags to its partner and is added by passes",
            ),
        ),
    ),
    Example("SHIFT, signed", "REDUCE shift d=0:11 words=7:8 p=11 signed=a"),
    Example(
        "PAIRS", "REDUCE pairs d=0:11 words=7:8",
        (
            Other(
                "BF-IMNA", _UNVERIFIED, "",
                "remembered as linear in the number of words without segmentation, as it is here",
            ),
        ),
    ),
    Example("PAIRS, signed", "REDUCE pairs d=0:11 words=7:8 signed=a"),
    Example(
        "SEGMENTS", "REDUCE segments d=0:11 words=7:8",
        (
            Other("model", _DERIVED, "8*A*L + 4*L*(L - 1)", f"in each level {_CARRY}"),
            Other(
                "BF-IMNA", _UNVERIFIED, "8*L",
                "remembered as 8 cycles a level whatever the width; here carries go through every bit of a word",
            ),
            Other(
                "CAPE", _READ, "A + 5",
                "it counts tagged rows, plane by plane, as DOT does here: against a column of ones that is A + 1",
            ),
        ),
    ),
    Example("SEGMENTS, signed", "REDUCE segments d=0:11 words=7:8 signed=a"),
)  # fmt: skip
"""Every form whose law is one of its own."""

PORT_EXAMPLES: tuple[Example, ...] = (
    Example("planes", "LOAD planes d=0:8"),
    Example("block", "LOAD block d=0:8 block=3"),
    Example("taps", "LOAD taps d=0:8"),
    Example("total", "LOAD total d=0:8"),
    Example("tag", "LOAD tag"),
    Example("planes", "STORE planes a=0:8"),
    Example("block", "STORE block a=0:8 block=3"),
    Example("total", "STORE total a=0:8"),
    Example("tag", "STORE tag"),
    Example("", "DRAIN d=0:8 block=3"),
    Example("", "RESTORE a=0:8 block=3"),
    Example("", "INIT 5"),
    Example("", "SYNC 0"),
    Example("", "LOOP 1", after="END\nHALT"),
    Example("", "END", before="LOOP 1"),
    Example("", "HALT", after=""),
)
"""What has no body: the plane port works, or nothing more than the decode cycle is needed."""

FUNCTIONS: tuple[Function, ...] = (
    Function(
        "addition",
        "LOAD planes d=0:8\nLOAD planes d=8:8\nSYNC 0\nADD a=0:8 b=8:8 d=16\nSTORE planes a=8:9\nHALT",
        "2*M + 8*M + M + 1",
        "an instruction takes a cycle to decode, some of which the port uses; one write clears the carry",
    ),
    Function(
        "multiplication",
        "LOAD planes d=0:8\nLOAD planes d=8:8\nCLEAR d=16:16\nSYNC 0\nMUL a=0:8 b=8:8 d=16\nSTORE planes a=16:16\nHALT",
        "2*M + 8*M**2 + 2*M",
        "the product's columns are cleared first, and instructions are decoded",
    ),
    Function(
        "ReLU",
        "LOAD planes d=0:8\nSYNC 0\nRELU b=0:8\nSTORE planes a=0:8\nHALT",
        "4*M + 1",
        "no compare for each bit (see RELU above)",
    ),
)
"""What BF-IMNA's run times are about, as they are remembered: 1 cycle loads or reads a column, M is the width."""

STEPS_OF_OTHERS: tuple[Other, ...] = (
    Other("FFT-AP", _READ, "", "Four states of three bits change when two numbers are added: four passes."),
    Other(
        "TAP", _READ, "",
        "Grouping passes that write the same values saves writes; `merged` does it where an order allows it.",
    ),
    Other("Hyper-AP", _READ, "", "Several searches are OR-ed into one write; `merged` and `two_tags` do so."),
    Other(
        "US 6,757,703", _READ, "",
        "Two tag registers add in 3 cycles a bit, as the carry stays in a tag. `two_tags` takes 6: its carry is a "
        "column, so four compares and two writes are left.",
    ),
)  # fmt: skip
"""What is known of other ways to make the steps of an addition."""
