"""The C hooks for an attached program: the file installed here, or a copy for a program on another machine.

The dynamic loader maps a file once per process, however often a probe is injected, and never unmaps it. On this machine
the program loads the installed file itself, because each copy would be mapped anew. On another machine a copy is sent
that the program loads from a memory file; the next probe finds that one by its name and loads it again.
"""

from __future__ import annotations

import os
import platform
import re
import struct
import sys
import zlib
from base64 import b64decode, b64encode
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.attach.inject import elf

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST = 8 << 20
"""Bytes of the largest copy."""
_LOAD = 1  # PT_LOAD
_MUSL = re.compile(r"/(?:ld-musl-|libc\.musl-)")


def file() -> dict[str, Any]:
    """What the program needs to load the C hooks, or `why` it gets those in Python."""
    if os.environ.get("LOOPTOP_PURE", "") not in ("", "0"):
        return {"why": "LOOPTOP_PURE is set"}
    try:
        module: Any = import_module("probes.hooks._native")  # proves that it is complete and fits this machine
        path = Path(module.__file__).resolve()
        found = path.stat()
        build = module.BUILD
        sources = sorted((path.parent / "native").glob("*.[ch]"))  # only in a development tree
        if sources and build != sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]:
            return {"why": "built of older sources"}
    except ModuleNotFoundError:
        return {"why": "not built"}
    except AttributeError:
        return {"why": "built of older sources"}
    except (ImportError, OSError) as error:
        return {"why": str(error)[:200]}
    return {
        "file": str(path),
        "build": build,
        "identity": [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns],
        "machine": getattr(sys.implementation, "_multiarch", ""),
        "uid": os.geteuid(),
    }


def copy_for(machine: str) -> dict[str, Any]:
    """The C hooks for programs on another machine of that kind, or `why` they get those in Python."""
    facts = file()
    if "why" in facts:
        return facts
    if machine != platform.machine():
        return {"why": f"looptop runs on {platform.machine()}, this program on {machine}"}
    if not _has_glibc():
        return {"why": "looptop runs without glibc"}
    try:
        data = mapped_part(Path(facts["file"]).read_bytes())
    except (OSError, struct.error) as error:
        return {"why": str(error)[:200]}
    return {
        "build": facts["build"],
        "machine": facts["machine"],
        "hash": sha256(data).hexdigest(),
        "size": len(data),
        "data": b64encode(zlib.compress(data)).decode("ascii"),
    }


def _has_glibc() -> bool:
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (ValueError, OSError):
        return False


def mapped_part(data: bytes) -> bytes:
    """A shared library without what the dynamic loader does not map, such as debug information."""
    first, size, number = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    end = first + size * number
    for index in range(number):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", data, first + index * size)
        if kind == _LOAD:
            end = max(end, offset + length)
    header = bytearray(data[:64])
    struct.pack_into("<Q", header, 40, 0)  # no section headers
    struct.pack_into("<HH", header, 60, 0, 0)
    return bytes(header) + data[64:end]


def arrived(copied: Mapping[str, Any], pid: int) -> tuple[dict[str, Any], bytes]:
    """What a process needs to load the copy that `copy_for` made elsewhere, and its bytes; or `why` it cannot."""
    if "why" in copied:
        return dict(copied), b""
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - read up to a bound
            maps = file.read(elf.LONGEST_MAPS)
    except OSError as error:
        return {"why": error.strerror or str(error)}, b""
    if _MUSL.search(maps) is not None:
        return {"why": "built for glibc, this program uses musl"}, b""
    data = zlib.decompressobj().decompress(b64decode(copied["data"]), LARGEST)
    if len(data) != copied["size"] or sha256(data).hexdigest() != copied["hash"]:
        return {"why": "the copy that arrived is damaged"}, b""
    name = "looptop-hooks-" + copied["hash"][:16]
    loaded = re.search(rf"^\S+ r-xp .* /memfd:{name}-(\d+) \(deleted\)$", maps, re.MULTILINE)
    facts = {"build": copied["build"], "machine": copied["machine"], "name": name, "folder": _folder(copied["hash"])}
    return {**facts, "loaded": None if loaded is None else int(loaded[1])}, data


def _folder(digest: str) -> str:
    """The folder of a process's descriptors, spelled as for no other file.

    The dynamic loader knows a loaded file by the path that was given for it, whatever that means now.
    """
    return "/proc/self/fd" + f"{int(digest[:8], 16):032b}".replace("0", "/").replace("1", "/.")


def why_not(pid: int) -> str:
    """Why a program would get the hooks in Python, as far as visible from outside; empty if it gets those in C."""
    facts = file()
    if "why" in facts:
        return str(facts["why"])
    try:
        if is_pure(pid):
            return "LOOPTOP_PURE is set"
        found = Path(f"/proc/{pid}/root{facts['file']}").stat()
    except OSError:
        return "its file cannot be read there"
    if [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns] != facts["identity"]:
        return "its file is another one there"
    return ""


def is_pure(pid: int) -> bool:
    """Whether the environment of a process asks for the hooks in Python. Raises OSError."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return any(one.startswith(b"LOOPTOP_PURE=") and one[13:] not in (b"", b"0") for one in entries)
