"""The sum of an ADD that rounds one operand first (:class:`~golden.graph.RoundedSum`) as instructions.

Columns, from the bottom up: carries, a flag where an addend depends on a sign or a threshold, the total, the sum.  The
rounded operand's product ends where the sum ends, its fraction and the operands lie in the columns of the total, which
is written when they have been used up.
"""

from __future__ import annotations

from dataclasses import dataclass

from golden.graph import RoundedSum
from hw.isa import CompareKind, Opcode
from sim.mapping.builder import Builder
from sim.mapping.shapes import ElementwiseShape, RoundedSumShape

__all__ = ["RoundedFields", "emit_rounded_sum", "rounded_fields"]


@dataclass(frozen=True)
class RoundedFields:
    """First columns: operands, the product, the sum before it is multiplied, the total, and carries with the flag.

    ``end`` is the column behind the last.
    """

    operands: tuple[int, ...]
    product: int
    addition: int
    sum: int
    scratch: int
    end: int


def _product_columns(rounded: RoundedSumShape) -> int:
    """The product and the sum that grows out of it."""
    return max(rounded.product_bits, rounded.shift + rounded.sum_bits)


def rounded_fields(
    shape: ElementwiseShape, rounded: RoundedSumShape, base: int = 0, given: tuple[int, ...] | None = None
) -> RoundedFields:
    """Where the fields lie: from column ``base``, or with ``given`` operands that lie elsewhere."""
    inputs = sum(shape.activation_bits)
    total = max(shape.sum_bits, shape.shift + shape.output_bits)
    scratch = 2 if shape.two_sided or rounded.two_sided or shape.ties is not None else 1
    addition = base + scratch + max(total, inputs + rounded.shift)
    product = addition - rounded.shift
    first = product - inputs
    operands = (first, first + shape.activation_bits[0]) if given is None else (given[0], given[1])
    return RoundedFields(operands, product, addition, base + scratch, base, product + _product_columns(rounded))


def emit_rounded_sum(
    builder: Builder, shape: ElementwiseShape, fields: RoundedFields, constants: RoundedSum | None
) -> None:
    """Write the multiplied sum of the loaded operands to the total; joins all port operations.

    Without ``constants`` all immediate ones are 0.
    """
    rounded = shape.rounded
    assert rounded is not None
    factor, below, step, threshold, multiplier = (
        (0, 0, 0, 0, 0)
        if constants is None
        else (
            constants.factor,
            constants.addend_below,
            constants.addend - constants.addend_below,
            constants.threshold,
            constants.multiplier,
        )
    )
    scaled, exact = fields.operands[rounded.operand], fields.operands[1 - rounded.operand]
    scaled_bits, exact_bits = shape.activation_bits[rounded.operand], shape.activation_bits[1 - rounded.operand]
    builder.fill(fields.product, _product_columns(rounded))
    builder.sync()
    builder.emit(
        Opcode.MULC,
        a_width=rounded.factor_bits,
        b=scaled,
        b_width=scaled_bits,
        d=fields.product,
        d_width=rounded.factor_bits + scaled_bits,
        constant=factor,
    )
    width, carry = rounded.product_bits, fields.scratch
    builder.add_constant(fields.product, width, below, rounded.constant_bits, carry)
    if rounded.two_sided:
        # u is not below the threshold, which is not 0.
        flag = fields.scratch + 1
        builder.emit(
            Opcode.CMPC,
            kind=CompareKind.GT,
            b=scaled,
            b_width=scaled_bits,
            d=flag,
            d_width=1,
            constant=threshold - 1,
        )
        builder.add_constant(fields.product, width, step, rounded.constant_bits, carry, predicate=flag)
    builder.emit(
        Opcode.ADD,
        a=exact,
        a_width=exact_bits,
        b=fields.addition + rounded.raised,
        b_width=rounded.sum_bits - rounded.raised,
        d=carry,
        d_width=1,
    )
    builder.fill(fields.sum, shape.sum_bits)
    builder.emit(
        Opcode.MULC,
        a_width=shape.factor_bits,
        b=fields.addition,
        b_width=rounded.sum_bits,
        d=fields.sum,
        d_width=shape.factor_bits + rounded.sum_bits,
        constant=multiplier,
    )
