"""The journal of a run: finished layers of each input in a file, so that an interrupted run goes on.

The file is a line that names the run, then records: bytes that follow and their CRC-32 (little-endian, 4 bytes each),
a line of JSON, and the numbers of a map. Records are added as a whole; a damaged one and what follows are dropped.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sim.cache import cache_folder
from sim.errors import UserError
from sim.file_locks import lock_file
from sim.work.maps import PackedMap

__all__ = ["FinishedLayer", "RunJournal", "journal_path"]

_HEAD = struct.Struct("<II")
_TITLE = "bfimna journal 1"


@dataclass(frozen=True)
class FinishedLayer:
    """What a layer gave for one input: its output map, and the counters of its jobs."""

    output: PackedMap
    counters: dict[str, int]


def journal_path(key: str) -> Path:
    """Return where the journal of the run is that *key* names, in the cache; its folder is there.

    Raises
    ------
    UserError
        If the cache cannot be written.
    """
    folder = cache_folder() / "journals"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error) from error
    return folder / hashlib.sha256(key.encode()).hexdigest()[:20]


class RunJournal:
    """Finished layers by the numbers of input and layer; what was added is in the file when :meth:`finish` returns.

    Parameters
    ----------
    path : of the file.
    key : hash of everything that decides the results of the run.
    resume : whether what an earlier run finished is read; else it is replaced.

    Attributes
    ----------
    finished : of all runs.
    starts : how often a layer of an input was begun, in all runs.
    resumed : number of layers that earlier runs had finished.

    Raises
    ------
    UserError
        If the file cannot be read or written, or another run writes it.
    """

    def __init__(self, path: Path, key: str, *, resume: bool) -> None:
        self.path = path
        self.finished: dict[tuple[int, int], FinishedLayer] = {}
        self.starts: Counter[tuple[int, int]] = Counter()
        title = f"{_TITLE} {key}\n".encode()
        try:
            self._file = path.open("a+b")
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            lock_file(self._file.fileno())
            self._file.seek(0)
            content = self._file.read() if resume else b""
            sound = self._read(content, len(title)) if content.startswith(title) else 0
            self._file.truncate(sound)
            if not sound:
                self._file.write(title)
                self._file.flush()
        except BlockingIOError:
            self._file.close()
            raise UserError(f"journal {path} is in use: the same run is under way in another process") from None
        except OSError as error:
            self._file.close()
            raise _unusable(path, error) from error
        self.resumed = len(self.finished)

    def __enter__(self) -> RunJournal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, number: int, layer: int) -> None:
        """Note that a layer of input *number* begins."""
        self.starts[number, layer] += 1
        self._add({"start": [number, layer]})

    def finish(self, number: int, layer: int, found: FinishedLayer) -> None:
        """Keep what a layer of input *number* gave."""
        self.finished[number, layer] = found
        numbers = found.output.numbers
        described = {
            "finish": [number, layer],
            "counters": {name: int(value) for name, value in found.counters.items()},
            "bits": found.output.bits,
            "shape": numbers.shape,
            "type": numbers.dtype.str,
        }
        self._add(described, numbers.tobytes())

    def close(self) -> None:
        """Close the file, which stays."""
        self._file.close()

    def remove(self) -> None:
        """Remove the file: the run has told what it found."""
        self.path.unlink(missing_ok=True)
        self.close()

    def _add(self, described: dict[str, Any], numbers: bytes = b"") -> None:
        content = json.dumps(described).encode() + b"\n" + numbers
        try:
            self._file.write(_HEAD.pack(len(content), zlib.crc32(content)) + content)
            self._file.flush()
        except OSError as error:
            raise _unusable(self.path, error) from error

    def _read(self, content: bytes, start: int) -> int:
        """Take the sound records of a file from a place on; return where they end."""
        end = start
        for described, numbers, position in _records(content, start):
            try:
                self._take(described, numbers)
            except (KeyError, TypeError, ValueError):
                break
            end = position
        return end

    def _take(self, described: dict[str, Any], numbers: bytes) -> None:
        if "start" in described:
            number, layer = described["start"]
            self.starts[int(number), int(layer)] += 1
            return
        number, layer = described["finish"]
        found = np.frombuffer(numbers, np.dtype(described["type"])).reshape(described["shape"])
        output = PackedMap(found, int(described["bits"]))
        self.finished[int(number), int(layer)] = FinishedLayer(output, described["counters"])


def _records(content: bytes, position: int) -> Iterator[tuple[dict[str, Any], bytes, int]]:
    """The sound records from a place on, each with the place where it ends."""
    while position + _HEAD.size <= len(content):
        size, check = _HEAD.unpack_from(content, position)
        position += _HEAD.size
        record = content[position : position + size]
        if len(record) < size or zlib.crc32(record) != check:
            return
        position += size
        line, _, numbers = record.partition(b"\n")
        try:
            described = json.loads(line)
        except ValueError:
            return
        if not isinstance(described, dict):
            return
        yield described, numbers, position


def _unusable(path: Path, error: OSError) -> UserError:
    return UserError(f"journal {path} cannot be used: {(error.strerror or str(error)).lower()}")
