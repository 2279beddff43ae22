"""Where operands lie, against a list of their bits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from golden.flexspim.shape import OperandShape, ShapeError, from_bits, limited, to_bits
from hw.flexspim.config import MACROS

TINY = MACROS["flexspim-tiny"]


def shape(weight: int, potential: int, columns: int, operands: int) -> OperandShape:
    return OperandShape(weight_bits=weight, potential_bits=potential, columns=columns, operands=operands)


def test_a_shape_by_hand() -> None:
    one = shape(3, 5, 2, 2)
    assert (one.rows, one.weight_rows, one.held_bits) == (3, 2, 3)
    planes = one.planes(TINY)[:, :5].tolist()
    assert planes == [[1, 0, 1, 0, 0], [1, 1, 1, 1, 0], [1, 0, 1, 0, 0], [1, 0, 1, 0, 0]]
    rows = one.potentials(np.array([[0b01101, -1]]), TINY)[:, :5].tolist()
    assert rows == [[1, 0, 1, 1, 0], [1, 1, 1, 1, 0], [0, 0, 1, 0, 0]]
    assert one.weights(np.array([[-4, 3]]), TINY)[:, :5].tolist() == [[0, 0, 1, 1, 0], [1, 0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("bits", "columns"), [(bits, columns) for bits in (1, 2, 5, 16) for columns in (1, 2, 3, 5, 16)]
)
def test_numbers_come_back(bits: int, columns: int) -> None:
    if columns > bits:
        return
    one = shape(1, bits, columns, TINY.parallel(columns))
    numbers = from_bits(np.random.default_rng(bits).integers(0, 2, (3 * one.operands, bits), np.uint8))
    rows = one.potentials(numbers.reshape(3, -1), TINY)
    assert len(rows) == 3 * one.rows
    for number, place in itertools.product(range(one.operands), range(bits)):
        row, column = place // columns, number * columns + place % columns
        assert rows[row, column] == numbers[number] >> place & 1
    assert np.array_equal(one.numbers(rows), numbers.reshape(3, -1))


@pytest.mark.parametrize("bits", [1, 2, 7, 31, 32, 63, 64])
def test_bits_of_numbers(bits: int) -> None:
    ends = np.array([-(1 << (bits - 1)), (1 << (bits - 1)) - 1, -1, 0], np.int64)
    assert np.array_equal(from_bits(to_bits(ends, bits)), ends)


def test_limits_of_numbers() -> None:
    for number, wraps, clips in ((7, 7, 7), (8, -8, 7), (-9, 7, -8), (24, -8, 7), (-40, -8, -8)):
        assert limited(number, 4, saturate=False) == wraps
        assert limited(number, 4, saturate=True) == clips


def test_a_weight_wider_than_its_potential_counts_by_its_low_bits() -> None:
    one = shape(9, 4, 4, 2)
    assert (one.held_bits, one.weight_rows) == (4, 1)
    assert np.array_equal(one.weights(np.array([[255, 16]]), TINY), one.weights(np.array([[-1, 0]]), TINY))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((0, 4, 1, 1), "weight_bits must be from 1 to 64, not 0"),
        ((1, 65, 1, 1), "potential_bits must be from 1 to 64, not 65"),
        ((1, 4, 5, 1), "columns must be from 1 to potential_bits (4), not 5"),
        ((1, 4, 2, 0), "operands must be at least 1, not 0"),
    ],
)
def test_what_no_shape_can_be(values: tuple[int, int, int, int], text: str) -> None:
    with pytest.raises(ShapeError) as error:
        shape(*values)
    assert str(error.value) == text


def test_what_does_not_fit_a_macro() -> None:
    with pytest.raises(ShapeError, match=r"^9 operands of 2 columns must fit 16 columns of the array$"):
        shape(1, 4, 2, 9).planes(TINY)
    with pytest.raises(ShapeError, match=r"^columns must be at most operand_columns \(16\), not 17$"):
        shape(1, 20, 17, 1).planes(TINY)
