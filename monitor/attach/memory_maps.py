"""Infers from the names of mapped files which Python a process runs and which libraries it has loaded."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]

from monitor.attach.inject.elf import bounded

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIBRARY = re.compile(r"/libpython(3\.\d+)[a-z]*\.(?:so|dylib)")
_EXTENSION = re.compile(r"\.cpython-3(\d+)[a-z]*-[^/]*\.so$")
_VERSIONED = re.compile(r"/python(3\.\d+)[a-z]*$")
_FULL = re.compile(r"/(?:versions|cpython-|python-)/?(3\.\d+\.\d+(?:[ab]\d+|rc\d+)?)[^/]*/")


@dataclass(frozen=True, slots=True)
class Mapped:
    """What the mapped files reveal about a process."""

    python: str | None
    asyncio: bool | None
    uvloop: bool


NOTHING_SEEN = Mapped(None, None, False)


def read_maps(process: psutil.Process) -> Mapped:
    """Inspect a process from outside. If its maps are not readable, only its name is used."""
    try:
        return judge_maps(_mapped_files(process), foreign=process.uids().effective != os.geteuid())
    except FileNotFoundError:
        raise psutil.NoSuchProcess(process.pid) from None
    except (OSError, psutil.AccessDenied):
        return NOTHING_SEEN


def judge_maps(files: set[str], foreign: bool = False) -> Mapped:
    """Infer the Python version and whether asyncio and uvloop are loaded from the names of mapped files.

    `foreign` is for a program of another user: no directory is opened whose name it may have chosen.
    """
    minor = full = None
    asyncio: bool | None = False
    uvloop = False
    core: str | None = None
    for file in files:
        name = file.rpartition("/")[2]
        if (library := _LIBRARY.search(file)) or (library := _VERSIONED.search(file)):
            minor, core = library[1], file
            if version := _FULL.search(file):
                full = version[1]
        elif minor is None and (extension := _EXTENSION.search(file)):
            minor = f"3.{extension[1]}"
        if name.startswith("_asyncio."):
            asyncio = True
        elif "/uvloop/" in file:
            uvloop = True
    if not asyncio and core is not None and not uvloop and _asyncio_is_built_in(core, minor, foreign):
        asyncio = None
    if full is not None and minor is not None and not full.startswith(minor + "."):
        full = None
    return Mapped(full or minor, True if uvloop else asyncio, uvloop)


def _asyncio_is_built_in(core: str, minor: str | None, foreign: bool) -> bool:
    """Whether this Python has asyncio without an extension module that the maps would show, as far as we can check."""
    prefix = Path(core).parent.parent
    prefixes = [Path("/usr")] if foreign and prefix != Path("/usr/local") else [prefix, Path("/usr")]
    folders = [one / f"lib/python{minor}/lib-dynload" for one in prefixes]
    return not any(_has_asyncio(folder) for folder in folders)


def _has_asyncio(folder: Path) -> bool:
    try:
        return any(path.name.startswith("_asyncio.") for path in folder.iterdir())
    except OSError:
        return False


def _mapped_files(process: psutil.Process) -> set[str]:
    """The mapped files. Raises PermissionError if the kernel denies access, and psutil.Error."""
    maps = Path(f"/proc/{process.pid}/maps")
    if Path("/proc/self/maps").exists():
        files = set(_lines_of(maps))
    else:
        try:
            files = {region.path for region in process.memory_maps()}
        except (psutil.AccessDenied, AttributeError, NotImplementedError):
            raise PermissionError from None
    if files:
        files.add(process.exe())
    return files


def _lines_of(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as maps:
        for line in bounded(maps):
            slash = line.find("/")
            if slash > 0:
                yield line[slash:].rstrip("\n").partition(" (deleted)")[0]
