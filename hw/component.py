"""What the hardware's components share: a base, whose ports are made from a config, and a constant."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from amaranth.hdl import Cat, Const, Mux, Value
from amaranth.lib import wiring

__all__ = ["RUN", "Component", "Placer", "all_ones", "spread"]


_MEMBER: Any = wiring.Member  # its stub does not know `init`

RUN = _MEMBER(wiring.Flow.In, 1, init=1)
"""An input without which a component stands still; 1 where nothing drives it."""


def all_ones(width: int) -> Const:
    """A constant of 1 in every bit, unsigned: ``Const(-1, width)`` is signed, and makes what it meets a bit wider."""
    return Const((1 << width) - 1, width)


@runtime_checkable
class Placer(Protocol):
    """A platform that makes something else of a component than a submodule, see :mod:`hw.hierarchy`."""

    def place(self, component: Component) -> Any:
        """Return what stands in its user for the component."""
        ...


def spread(bits: Value, size: int) -> Value:
    """Every bit ``size`` times, side by side.

    Multiplexers make it, so that the wide signal has one short text; as a concatenation it would be written out, bit by
    bit, wherever it is used.
    """
    return Cat(Mux(bit, all_ones(size), 0) for bit in bits)


class Component(wiring.Component):
    """A component with ports that only a config knows; to a type checker each of them may be anything.

    Subclasses have ``elaborate`` as usual; under a :class:`Placer` it is the placer that calls it, where and as often
    as it wants.

    Attributes
    ----------
    block : what its Verilog module is called after its user's module (``tile`` and ``tags`` make ``tile_tags``); the
        class's name in lower case if not set.
    shared : the module is called ``block`` alone, whoever uses it.
    reset_less : its module has a clock but no reset.
    made_from : class and arguments; components for which they are equal are the same hardware.
    """

    block: str = ""
    shared: ClassVar[bool] = False
    reset_less: ClassVar[bool] = False
    made_from: Hashable

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
    else:

        def __new__(cls, *arguments, **named):
            self = super().__new__(cls)
            self.made_from = (cls, arguments, tuple(sorted(named.items())))
            return self

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "block" not in vars(cls):
            cls.block = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
        if "elaborate" in vars(cls):
            cls.contents = cls.elaborate
            cls.elaborate = _placed(cls.elaborate)


def _placed(elaborate: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    @functools.wraps(elaborate)
    def either(self: Component, platform: Any) -> Any:
        # A subclass may build on what its base elaborates.
        if isinstance(platform, Placer) and type(self).elaborate is either:
            return platform.place(self)
        return elaborate(self, platform)

    return either
