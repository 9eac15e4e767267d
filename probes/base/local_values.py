"""The local variables of a failed task as text: bounded, with everything that looks like a secret masked.

No code of the program runs: values of exact built-in types are written out, of any other only the type is shown, since
a `__repr__` may do anything. Off unless a viewer or the setting `locals` asks for it; it then costs a few hundred
microseconds per failure.
"""

from __future__ import annotations

import re
import sys
from gc import get_referents
from itertools import islice
from typing import TYPE_CHECKING, Any

from . import sites

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    Locals = list[list[str]]

wanted = False
"""Whether the locals of failing tasks are kept from now on."""

MOST_FRAMES = 20
MOST_NAMES = 20
MOST_TEXT = 200
"""Most characters of one value."""
MOST_OF_ALL = 8000
"""Most characters of one failure; a probe keeps a thousand failures."""
MOST_ITEMS = 10
MOST_DEPTH = 3
MOST_BITS = 512
"""Most bits of an int that is written out: a huge one takes quadratic time and may raise (CVE-2020-10735)."""

MASKED = "<masked>"

# Kept as text: compiling takes a millisecond, and most programs never need it. `re` caches the compiled pattern.
_SENSITIVE = (
    r"passw|passphrase|pwd|secret|token|api_?key|access_?key|private_?key|credential|cookie|bearer|jwt|otp\b|csrf|xsrf"
    r"|session_?id|signature|cvv|authoriz|(?:^|[^a-z])(?:auth|pass|pin|dsn|ssn|salt)(?:[^a-z]|$)"
)
_HUMP = r"(?<=[a-z0-9])(?=[A-Z])"
_IN_TEXT = (
    r"(?P<url>://[^/\s:@]*:)[^/\s@]+(?=@)"
    r"|(?P<scheme>\b(?:Bearer|Basic|Token)\s+)[\w.~+/=-]{6,}"
    r"|(?P<pair>\b\w*(?:passw(?:or)?d|passphrase|secret|token|api_?key|access_?key)\w*[\"']?\s*[=:]\s*[\"']?)[^\s\"'&;,]+"
)
_PLAIN = frozenset({bool, float, complex, type(None), type(Ellipsis), range})
_qualname = type.__dict__["__qualname__"].__get__
_module = type.__dict__["__module__"].__get__
_OPTIMIZED = 0x1  # inspect.CO_OPTIMIZED: the names of a function, not those of a module or class
_SNAPSHOTS = sys.version_info < (3, 13)
"""Before 3.13, `f_locals` is a dict that the frame keeps, the same as `locals()`; since 3.13 it is a view (PEP 667)."""
_OWN_SNAPSHOT = frozenset({"locals", "vars", "eval", "exec", "dir"})


def locals_of(error: BaseException) -> list[Locals | None]:
    """Names and values, one list per frame of the traceback; None for a frame whose locals are not kept. Never
    raises."""
    frames: list[FrameType] = []
    entry = error.__traceback__
    while entry is not None and len(frames) < 100:
        frames.append(entry.tb_frame)
        entry = entry.tb_next
    found: list[Locals | None] = [None] * len(frames)
    room, kept = MOST_OF_ALL, 0
    for index in range(len(frames) - 1, -1, -1):  # innermost first: they matter most
        if sites.plumbing[frames[index].f_code.co_filename] != sites.USER:
            continue
        if kept == MOST_FRAMES or room <= 0:
            break
        kept += 1
        try:
            names = found[index] = _names(frames[index], room)
        except Exception:
            continue
        room -= sum(len(name) + len(text) for name, text in names)
    return found


def _names(frame: FrameType, room: int) -> Locals:
    code = frame.f_code
    if not code.co_flags & _OPTIMIZED:
        return []
    if _SNAPSHOTS and not _OWN_SNAPSHOT.isdisjoint(code.co_names):
        return [["…", "the function calls locals() itself: reading them now would change its result"]]
    before = get_referents(frame) if _SNAPSHOTS else ()
    held = frame.f_locals
    names: Locals = []
    try:
        for name in (*code.co_varnames, *code.co_cellvars, *code.co_freevars):
            if name not in held:
                continue
            if len(names) == MOST_NAMES or room <= 0:
                names.append(["…", "more names are not kept"])
                break
            text = MASKED if _is_secret(name) else show(held[name])
            names.append([name[:MOST_TEXT], text])
            room -= len(name) + len(text)
    finally:
        if _SNAPSHOTS and not any(each is held for each in before):
            held.clear()  # else it would keep objects alive that the program releases with `frame.clear()`
    return names


def show(value: Any) -> str:
    """A value as text of at most `MOST_TEXT` characters. Never runs code of the program, never raises."""
    try:
        text = _show(value, MOST_DEPTH)
    except Exception as error:  # another thread changed it while it was read
        text = f"<not readable: {type(error).__name__}>"
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"


def _show(value: Any, depth: int) -> str:
    kind = type(value)
    if kind in _PLAIN:
        return repr(value)
    if kind is int:
        return repr(value) if value.bit_length() <= MOST_BITS else f"<int of {value.bit_length()} bits>"
    if kind in (str, bytes, bytearray):
        # Read more than is shown before masking: half a secret at the cut would not match the pattern.
        text = re.sub(_IN_TEXT, _mask, repr(value[: 2 * MOST_TEXT]), flags=re.IGNORECASE)
        return text if len(value) <= 2 * MOST_TEXT else f"{text}… ({len(value)} long)"
    if kind in _BRACKETS:
        return _items(value, kind, depth)
    if kind is dict:
        return _dict(value, depth)
    return f"<{_name_of(kind)}>"


_BRACKETS: dict[Any, Sequence[str]] = {list: "[]", tuple: "()", set: "{}", frozenset: ("frozenset({", "})")}


def _items(value: Any, kind: type, depth: int) -> str:
    before, after = _BRACKETS[kind]
    if depth == 0 and value:
        return f"{before}…{after}"
    if kind is set and not value:
        return "set()"
    if kind is tuple and len(value) == 2 and type(value[0]) in (str, bytes) and _is_secret(value[0]):
        return f"({_show(value[0], depth - 1)}, {MASKED})"
    parts = [_show(each, depth - 1) for each in islice(value, MOST_ITEMS)]
    if len(value) > MOST_ITEMS:
        parts.append(f"… ({len(value)} items)")
    return f"{before}{', '.join(parts)}{',' if kind is tuple and len(value) == 1 else ''}{after}"


def _dict(value: dict[Any, Any], depth: int) -> str:
    if depth == 0 and value:
        return "{…}"
    parts = []
    for key, each in islice(value.items(), MOST_ITEMS):
        secret = type(key) in (str, bytes) and _is_secret(key)
        parts.append(f"{_show(key, depth - 1)}: {MASKED if secret else _show(each, depth - 1)}")
    if len(value) > MOST_ITEMS:
        parts.append(f"… ({len(value)} items)")
    return f"{{{', '.join(parts)}}}"


def _is_secret(name: str | bytes) -> bool:
    text = name[:MOST_TEXT].decode("latin-1") if isinstance(name, bytes) else name[:MOST_TEXT]
    return re.search(_SENSITIVE, re.sub(_HUMP, "_", text), re.IGNORECASE) is not None


def _mask(found: re.Match[str]) -> str:
    return f"{found['url'] or found['scheme'] or found['pair']}{MASKED}"


def _name_of(kind: type) -> str:
    module, name = _module(kind), str(_qualname(kind))
    if type(module) is not str or module == "builtins":  # a class may say anything there
        return name[:MOST_TEXT]
    return f"{module[:MOST_TEXT]}.{name[:MOST_TEXT]}"
