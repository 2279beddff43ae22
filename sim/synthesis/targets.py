"""What a tile can be mapped to, and how the cells of each target count."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sim.errors import UserError
from sim.options import nearest
from sim.synthesis.counts import Counts

__all__ = ["COMPARISONS", "TARGETS", "Target", "find_target"]

COMPARISONS = "proc\ntechmap -map +/techmap.v t:$lt t:$le t:$gt t:$ge\n"
"""Maps comparisons to gates before an iCE40's carry chains are made: a chain takes a logic cell for each bit, as its
LUTs have nothing to do."""


@dataclass(frozen=True)
class Target:
    """A family of FPGAs, or gates.

    Parameters
    ----------
    name : as ``--report`` takes it.
    title : what it is, for the head of a table.
    script : commands of Yosys that map a hierarchy whose top was set; ``{top}`` is its name.
    kinds : what one cell counts as, by a pattern that its whole type matches; the first one that does.
    columns : fields of :class:`~sim.synthesis.counts.Counts` that a table shows.
    notes : how cells count, one sentence each.
    """

    name: str
    title: str
    script: str
    kinds: tuple[tuple[str, Counts], ...]
    columns: tuple[str, ...]
    notes: tuple[str, ...]

    def count(self, kind: str) -> Counts:
        """What one cell of a type counts as; a type that is not in the table is a cell and no more."""
        return next((counts for pattern, counts in self.kinds if re.fullmatch(pattern, kind)), Counts(cells=1))


_FLIP_FLOP = Counts(cells=1, flip_flops=1)
_LUT = Counts(cells=1, luts=1)
_MEMORY = Counts(cells=1, memories=1)
_NOTHING = (r"\$scopeinfo", Counts())


def _lut_memory(luts: int) -> Counts:
    return Counts(cells=1, luts=luts, lut_memories=1)


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            name="ice40",
            title="Lattice iCE40",
            script=COMPARISONS + "synth_ice40 -noflatten -top {top}",
            kinds=(
                (r"SB_LUT4", _LUT),
                (r"SB_DFF\w*", _FLIP_FLOP),
                (r"SB_CARRY", Counts(cells=1, carries=1)),
                (r"SB_RAM40_4K\w*|SB_SPRAM256KA", _MEMORY),
                _NOTHING,
            ),
            columns=("cells", "luts", "flip_flops", "carries", "memories", "logic_cells"),
            notes=(
                "LUTs are LUT4, memories SB_RAM40_4K; comparisons are made of LUTs, not of carries",
                "a logic cell holds a LUT4, a flip-flop behind it, and a carry beside it on the same inputs; here "
                "logic cells are LUTs, flip-flops that no LUT of their own drives, and carries without their LUT",
            ),
        ),
        Target(
            name="ecp5",
            title="Lattice ECP5",
            script="synth_ecp5 -noflatten -top {top}",
            kinds=(
                (r"LUT4", _LUT),
                (r"TRELLIS_FF", _FLIP_FLOP),
                (r"CCU2C", Counts(cells=1, luts=2, carries=1)),
                (r"TRELLIS_DPR16X4", _lut_memory(4)),
                (r"DP16KD|PDPW16KD", _MEMORY),
                _NOTHING,
            ),
            columns=("cells", "luts", "lut_memories", "flip_flops", "carries", "memories"),
            notes=(
                "LUTs are LUT4; a TRELLIS_DPR16X4 (LUTRAM) counts as 4 of them, without the 2 that its write port "
                "keeps from others; a CCU2C (carry) as the 2 that it holds",
                "PFUMX and L6MUX21, which join LUTs to wider ones, are cells but no LUTs; memories are DP16KD",
            ),
        ),
        Target(
            name="xilinx",
            title="Xilinx 7 series",
            script="synth_xilinx -family xc7 -noiopad -noclkbuf -top {top}",
            kinds=(
                (r"LUT[1-6]|LUT6_2|INV|SRL\w+", _LUT),
                (r"FD[CRPS]+E(_1)?|LD[CP]+E", _FLIP_FLOP),
                (r"CARRY4", Counts(cells=1, carries=1)),
                (r"RAM64M|RAM32M|RAM128X1D|RAM256X1S", _lut_memory(4)),
                (r"RAM(16|32|64)X1D(_1)?|RAM128X1S(_1)?", _lut_memory(2)),
                (r"RAM(16|32|64)X1S(_1)?", _lut_memory(1)),
                (r"RAMB18E1|RAMB36E1", _MEMORY),
                _NOTHING,
            ),
            columns=("cells", "luts", "lut_memories", "flip_flops", "carries", "memories"),
            notes=(
                "LUTs are LUT6, also for a smaller function or an inverter; of LUTRAM, a RAM64M or RAM32M counts as 4 "
                "of them, a RAM64X1D or RAM32X1D as 2, a RAM64X1S or RAM32X1S as 1",
                "MUXF7 and MUXF8, which join LUTs to wider ones, are cells but no LUTs; memories are RAMB18 and RAMB36",
            ),
        ),
        Target(
            name="gates",
            title="gates",
            script=(
                "synth -top {top} -run begin:fine\n"
                "opt -fast -full\n"
                "{memories}"
                "opt -undriven -fine\n"
                "techmap\n"
                "opt -fast\n"
                "{map}"
                "opt_clean -purge"
            ),
            kinds=(
                (r"\$_DFF\w*|\$_SDFF\w*|\$_ALDFF\w*|\$_DLATCH\w*", _FLIP_FLOP),
                (r"\$mem\w*", Counts()),
                _NOTHING,
            ),
            columns=("cells", "flip_flops", "memory_bits", "area_um2"),
            notes=(),
        ),
    )
}
"""The targets by name."""


def find_target(name: str) -> Target:
    """A target by its name.

    Raises
    ------
    UserError
        If there is none of that name.
    """
    if name not in TARGETS:
        raise UserError(f"report must be for one of {', '.join(TARGETS)}, not {name!r}{nearest(name, TARGETS)}")
    return TARGETS[name]
