"""Writes what a recording is exported to: a whole file, or none."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from monitor.errors import LooptopError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def write(path: Path, pieces: Iterable[bytes]) -> int:
    """Writes a new file; returns its size. Raises UsageError for a place where nothing can be written."""
    if os.path.lexists(path):
        raise UsageError(f"{path} exists", "name another file, or remove it")
    part = path.with_name(path.name + ".part")
    size = 0
    try:
        with part.open("wb") as file:
            for piece in pieces:
                size += file.write(piece)
        part.replace(path)
    except OSError as error:
        raise LooptopError(f"{path} can not be written", error.strerror or str(error)) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return size
