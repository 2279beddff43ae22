"""The compiled runtime of Verilator, which is the same in every build: made once, then copied into new builds.

It takes longer to compile than a small design.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sim.cache import cache_folder, touch

__all__ = ["RuntimeObjects"]

_PATTERN = "verilated*.o"
"""Files of the runtime; what is compiled of a design is called after it."""


class RuntimeObjects:
    """Object files of one version of the runtime with one set of flags.

    Parameters
    ----------
    shape : everything that they depend on, as plain JSON values.
    """

    def __init__(self, shape: Mapping[str, object]) -> None:
        """Find where they are kept."""
        key = hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:20]
        self.folder = cache_folder() / "runtime" / key

    def bring(self, folder: Path) -> int:
        """Copy them into the folder of a build; returns how many there are, 0 when none were kept yet."""
        files = sorted(self.folder.glob(_PATTERN)) if touch(self.folder) else []
        for number, file in enumerate(files):
            try:
                # Newer than their sources, or make would compile them again.
                shutil.copyfile(file, folder / file.name)
            except FileNotFoundError:  # the cache was removed meanwhile
                (folder / file.name).unlink(missing_ok=True)
                return number
        return len(files)

    def keep(self, folder: Path) -> None:
        """Keep those of a finished build, unless there are some; safe from many processes at once."""
        files = sorted(folder.glob(_PATTERN))
        if self.folder.is_dir() or not files:
            return
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f"{self.folder.name}.", dir=self.folder.parent))
        for file in files:
            shutil.copyfile(file, unfinished / file.name)
        try:
            unfinished.replace(self.folder)
        except OSError:  # somebody else was faster
            shutil.rmtree(unfinished, ignore_errors=True)
