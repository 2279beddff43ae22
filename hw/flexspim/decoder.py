"""The rules that an instruction must obey: the hardware's copy of what ``docs/flexspim.md`` says."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hw.component import Component
from hw.flexspim.config import MAXIMUM_OPERAND_ROWS, MacroConfig
from hw.flexspim.isa import FIELDS, OPERATIONS, MacroError, MacroOpcode, ResetKind
from hw.flexspim.layouts import instruction_layout
from hw.isa import INSTRUCTION_BITS

__all__ = ["MacroDecoder"]


class MacroDecoder(Component):
    """Looks for the lowest error code that applies to an instruction; combinational.

    Members
    -------
    word : the instruction.
    weight_rows, potential_rows : of the shape.
    shape_known, input_known, layer_known : there is a shape, an INPUT after it, an OUTPUT after that.
    outside, overlap : what the layer's registers say about its rows.
    in_loop, loops_full : whether a loop is open, and whether no further one may be opened.
    error : NONE for a legal instruction.
    """

    block = "decoder"

    def __init__(self, config: MacroConfig):
        self.config = config
        super().__init__(
            {
                "word": In(INSTRUCTION_BITS),
                "weight_rows": In(8),
                "potential_rows": In(8),
                "shape_known": In(1),
                "input_known": In(1),
                "layer_known": In(1),
                "outside": In(1),
                "overlap": In(1),
                "in_loop": In(1),
                "loops_full": In(1),
                "error": Out(MacroError),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._fields = {opcode: Signal(instruction_layout(opcode), name=opcode.name.lower()) for opcode in MacroOpcode}
        m.d.comb += [fields.as_value().eq(self.word) for fields in self._fields.values()]
        faults = {
            MacroError.OPCODE: ~self._is(*MacroOpcode),
            MacroError.RESERVED: self._reserved(),
            MacroError.SHAPE: self._shape(),
            MacroError.ROWS: self._rows(m),
            MacroError.OVERLAP: self._overlap(m),
            MacroError.LAYER: self._layer(),
            MacroError.LOOP: self._loop(),
        }
        code: Value = Const(MacroError.NONE)
        for error in sorted(faults, reverse=True):
            code = Mux(faults[error], error, code)
        m.d.comb += self.error.eq(code)
        return m

    def _is(self, *opcodes: MacroOpcode) -> Value:
        return Cat(self.word[:8] == opcode for opcode in opcodes).any()

    def _reserved(self) -> Value:
        faults = [self._is(opcode) & self._fields[opcode].rest.any() for opcode in MacroOpcode]
        kind = self._fields[MacroOpcode.FIRE].kind
        faults += [
            self._is(MacroOpcode.LOOP) & self._fields[MacroOpcode.LOOP].reserved.any(),
            self._is(MacroOpcode.ACCUMULATE, MacroOpcode.ADD, MacroOpcode.COMPARE) & kind.any(),
            self._is(MacroOpcode.RESET) & (kind == ResetKind.NONE),
            self._is(MacroOpcode.RESET, MacroOpcode.FIRE) & (kind > ResetKind.SOFT),
        ]
        return Cat(faults).any()

    def _shape(self) -> Value:
        op = self._fields[MacroOpcode.SHAPE]
        unfit = (
            (op.weight_rows == 0)
            | (op.weight_rows > op.potential_rows)
            | (op.potential_rows > MAXIMUM_OPERAND_ROWS)
            | (0 if self.config.saturation else op.saturate)
        )
        needed = self._is(*OPERATIONS, MacroOpcode.OUTPUT) & ~self.shape_known
        return (self._is(MacroOpcode.SHAPE) & unfit) | needed

    def _ends(self, m: Module) -> tuple[Signal, Signal]:
        op, bits = self._fields[MacroOpcode.FIRE], 26
        ends = Signal(bits, name="operand_end"), Signal(bits, name="potentials_end")
        accumulates = self._is(MacroOpcode.ACCUMULATE)
        m.d.comb += [
            ends[0].eq(op.operand + Mux(accumulates, op.slices * self.weight_rows, self.potential_rows)),
            ends[1].eq(op.potentials + op.slices * self.potential_rows),
        ]
        return ends

    def _rows(self, m: Module) -> Value:
        rows, op, move = self.config.rows, self._fields[MacroOpcode.FIRE], self._fields[MacroOpcode.LOAD]
        self._operand_end, self._potentials_end = self._ends(m)
        moves = (move.rows == 0) | (move.first + move.rows > rows)
        operates = (op.slices == 0) | (self._operand_end > rows) | (self._potentials_end > rows)
        several = self._is(MacroOpcode.COMPARE, MacroOpcode.RESET) & (op.slices != 1)
        return (
            (self._is(MacroOpcode.LOAD, MacroOpcode.STORE) & moves)
            | (self._is(*OPERATIONS) & (operates | several))
            | (self._is(MacroOpcode.EVENTS) & self.layer_known & self.outside)
        )

    def _overlap(self, m: Module) -> Value:
        op = self._fields[MacroOpcode.FIRE]
        meets = (op.operand < self._potentials_end) & (op.potentials < self._operand_end)
        return (self._is(*OPERATIONS) & meets) | (self._is(MacroOpcode.EVENTS) & self.layer_known & self.overlap)

    def _layer(self) -> Value:
        first, second = self._fields[MacroOpcode.INPUT], self._fields[MacroOpcode.OUTPUT]
        none = [
            first[name] == 0
            for name in ("height", "width", "channels", "kernel_height", "kernel_width", "line_words")
        ]  # fmt: skip
        shifted = ((first.channels - 1)[: FIELDS[MacroOpcode.INPUT]["channels"]] >> first.channel_shift) != 0
        nothing = [second[name] == 0 for name in ("height", "width", "lines", "slices", "groups")]
        return (
            (self._is(MacroOpcode.INPUT) & (Cat(none).any() | shifted | (first.channel_shift > 16)))
            | (
                self._is(MacroOpcode.OUTPUT)
                & (Cat(nothing).any() | (second.first + second.lines > second.height) | ~self.input_known)
            )
            | (self._is(MacroOpcode.EVENTS) & ~self.layer_known)
        )

    def _loop(self) -> Value:
        return (
            (self._is(MacroOpcode.LOOP) & ((self._fields[MacroOpcode.LOOP]["count"] == 0) | self.loops_full))
            | (self._is(MacroOpcode.END) & ~self.in_loop)
            | (self._is(MacroOpcode.HALT) & self.in_loop)
        )
