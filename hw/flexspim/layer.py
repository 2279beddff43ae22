"""The registers of a layer, and the numbers of rows that follow from them, worked out with one multiplier."""

from typing import Any

from amaranth.hdl import Const, EnableInserter, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.component import RUN, Component
from hw.flexspim.config import MacroConfig
from hw.flexspim.isa import FIELDS, MacroOpcode
from hw.flexspim.layouts import instruction_layout, layer_layout, size_bits
from hw.isa import INSTRUCTION_BITS

__all__ = ["SETTLE_CYCLES", "LayerRegisters"]

SETTLE_CYCLES = 8
"""Cycles in which the numbers of rows are worked out, one product in each."""


class LayerRegisters(Component):
    """What INPUT and OUTPUT say about a layer.

    **Latency**: all of ``layer`` is right :data:`SETTLE_CYCLES` cycles after ``load_output``; nothing else may change
    meanwhile.

    Members
    -------
    run : the registers move in this cycle.
    word : an INPUT or OUTPUT.
    load_input, load_output : it is taken.
    weight_rows, potential_rows : of the shape.
    layer : see :func:`hw.flexspim.layouts.layer_layout`.
    settled : this is the last of the cycles.
    outside : the rows of weights or of potentials end beyond the array.
    overlap : they share rows.
    """

    block = "layer"

    def __init__(self, config: MacroConfig):
        self.config = config
        super().__init__(
            {
                "run": RUN,
                "word": In(INSTRUCTION_BITS),
                "load_input": In(1),
                "load_output": In(1),
                "weight_rows": In(8),
                "potential_rows": In(8),
                "layer": Out(layer_layout(config)),
                "settled": Out(1),
                "outside": Out(1),
                "overlap": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Any:
        m = Module()
        config, layer, size = self.config, self.layer, size_bits(self.config)
        step = Signal(range(SETTLE_CYCLES), name="step")
        names = (
            "slice_rows", "place_rows", "line_rows", "potential_map", "tap_rows", "tap_line_rows", "channel_rows",
            "weight_map",
        )  # fmt: skip
        products = {name: Signal(size, name=f"rows_of_{name}") for name in names}
        factors: dict[str, tuple[Value, Value]] = {
            "slice_rows": (layer.output_slices, self.potential_rows),
            "place_rows": (layer.output_groups, products["slice_rows"]),
            "line_rows": (layer.output_width, products["place_rows"]),
            "potential_map": (layer.output_lines, products["line_rows"]),
            "tap_rows": (layer.output_slices, self.weight_rows),
            "tap_line_rows": (layer.kernel_width, products["tap_rows"]),
            "channel_rows": (layer.kernel_height, products["tap_line_rows"]),
            "weight_map": (Mux(layer.output_fetch, 1, layer.channels), products["channel_rows"]),
        }
        left, right, product = Signal(16, name="left"), Signal(size, name="right"), Signal(16 + size, name="product")
        clipped = Signal(size, name="clipped_product")
        most = Const((1 << size) - 1, size)
        m.d.comb += [product.eq(left * right), clipped.eq(Mux(product > config.rows, most, product[:size]))]
        with m.Switch(step):
            for index, name in enumerate(names):
                with m.Case(index):
                    m.d.comb += [left.eq(factors[name][0]), right.eq(factors[name][1])]
                    m.d.sync += products[name].eq(clipped)
        m.d.comb += [layer[name].eq(products[name]) for name in names if not name.endswith("map")]

        for opcode, load, prefix in (
            (MacroOpcode.INPUT, self.load_input, ""),
            (MacroOpcode.OUTPUT, self.load_output, "output_"),
        ):
            fields, word = FIELDS[opcode], Signal(instruction_layout(opcode), name=f"{opcode.name.lower()}_word")
            m.d.comb += word.as_value().eq(self.word)
            for name, width in fields.items():
                value = Signal(width, name=f"{prefix}{name}", reset_less=True)
                with m.If(load):
                    m.d.sync += value.eq(word[name])
                m.d.comb += layer[f"{prefix}{name}"].eq(value)
        with m.If(self.load_output):
            m.d.sync += step.eq(0)
        with m.Elif(~self.settled):
            m.d.sync += step.eq(step + 1)

        wide = bits_for(1 << 17)
        ends = {"potentials": Signal(wide, name="end_of_potentials"), "weights": Signal(wide, name="end_of_weights")}
        m.d.comb += [
            self.settled.eq(step == SETTLE_CYCLES - 1),
            ends["potentials"].eq(layer.output_potentials + products["potential_map"]),
            ends["weights"].eq(layer.output_weights + products["weight_map"]),
            self.outside.eq((ends["potentials"] > config.rows) | (ends["weights"] > config.rows)),
            self.overlap.eq((layer.output_weights < ends["potentials"]) & (layer.output_potentials < ends["weights"])),
        ]
        return EnableInserter(self.run)(m)
