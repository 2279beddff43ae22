"""Reads what the docstrings of components say of their members, so that it is written once."""

from __future__ import annotations

import inspect
import re
from fnmatch import fnmatchcase

__all__ = ["members", "plain", "port_meaning"]

_ENTRY = re.compile(r"^(?P<names>[\w*]+(?:, [\w*]+)*) : (?P<text>.*)$")
_FURTHER = re.compile(r"(?<=[.;]) (?=\w+ : )")
_ROLE = re.compile(r":\w+:`~?([^`]*)`")
_STREAM = {
    "payload": "the word",
    "valid": "a word is there",
    "ready": "a word is taken where one is there",
}
"""What the three ports of a stream are, in the words of its meaning."""


def members(component: type) -> dict[str, str]:
    """What the section "Members" of a component's docstring says, by name; a name may hold ``*``.

    Several entries may stand in one line, and several names share a text. A class without the section has none.
    """
    lines = (inspect.getdoc(component) or "").splitlines()
    entries = list[str]()
    for line in _section(lines, "Members"):
        for part in _FURTHER.split(line):
            if part.startswith(" "):
                entries[-1] += " " + part.strip()
            else:
                entries.append(part)
    found: dict[str, str] = {}
    for entry in entries:
        matched = _ENTRY.match(entry)
        if matched is not None:
            found |= dict.fromkeys(matched["names"].split(", "), plain(matched["text"]))
    return found


def port_meaning(port: str, meanings: dict[str, str]) -> str | None:
    """What a port of the Verilog means; None where nothing is said of it.

    Parameters
    ----------
    port : its name, the path of its member joined by ``__``.
    meanings : as :func:`members` gives them.
    """
    member, _, part = port.partition("__")
    for name, text in meanings.items():
        if fnmatchcase(member, name):
            return f"{text}; {_STREAM[part]}" if part in _STREAM else text
    return None


def plain(text: str) -> str:
    """The text without markup, and without its last full stop."""
    return _ROLE.sub(r"\1", " ".join(text.split())).replace("``", "").replace("**", "").rstrip(".")


def _section(lines: list[str], title: str) -> list[str]:
    """The lines of a section with an underlined title, up to the next one."""
    titles = [
        number for number in range(len(lines) - 1) if lines[number].strip() and re.fullmatch("-+", lines[number + 1])
    ]
    for number in titles:
        if lines[number] == title:
            end = min((other for other in titles if other > number), default=len(lines))
            return [line for line in lines[number + 2 : end] if line.strip()]
    return []
