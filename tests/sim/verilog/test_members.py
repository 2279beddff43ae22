"""What docstrings say of members, as a description needs it."""

from __future__ import annotations

import pytest

from sim.verilog.members import members, plain, port_meaning


class Component:
    """A queue of ``depth`` words: first in, first out. Nothing is lost.

    More of it.

    Members
    -------
    data, tag : words of a :class:`pkg.mod.Kind`; only
        **one** at a time.
    go : start. stop : end; after ``go``.
    port_* : streams.

    Notes
    -----
    other : is no member.
    """


class Plain:
    """Nothing more."""


def test_entries_names_and_continued_lines() -> None:
    assert members(Component) == {
        "data": "words of a pkg.mod.Kind; only one at a time",
        "tag": "words of a pkg.mod.Kind; only one at a time",
        "go": "start",
        "stop": "end; after go",
        "port_*": "streams",
    }


def test_a_class_without_the_section_has_none() -> None:
    assert members(Plain) == {}
    assert members(type("Nothing", (), {})) == {}


@pytest.mark.parametrize(
    ("port", "meaning"),
    [
        ("go", "start"),
        ("data__payload", "words of a pkg.mod.Kind; only one at a time; the word"),
        ("data__valid", "words of a pkg.mod.Kind; only one at a time; a word is there"),
        ("port_tdata", "streams"),
        ("port_tready__ready", "streams; a word is taken where one is there"),
        ("other", None),
        ("goes", None),
    ],
)
def test_meaning_of_a_port(port: str, meaning: str | None) -> None:
    assert port_meaning(port, members(Component)) == meaning


def test_markup_goes_away() -> None:
    assert plain("a :mod:`~hw.isa` of\n  ``x`` **and**  y.") == "a hw.isa of x and y"
