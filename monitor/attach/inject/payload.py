"""What is sent into a program: a text that runs in any Python from 3.11 on, and the files of `probes` that it loads.

The text is one statement that cannot raise and binds no name, because it runs in the program's `__main__`: it starts
a thread and returns at once, so that its caller (a new thread, or the main thread of the program) is free again.

The text fetches the files one by one, so that the program never needs memory for all of them at once: its malloc keeps
large blocks.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.attach.inject import native
from monitor.attach.inject.compiled import Source, packed
from monitor.transport import fd_passing
from probes.base import protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

PROBES = Path(protocol.__file__).parent.parent
BOOTSTRAP = Path(__file__).parent / "bootstrap.py"
FETCHED = (BOOTSTRAP.with_name("module_loader.py"), BOOTSTRAP.with_name("teardown.py"))
_START = (
    "(lambda found, imp: found if found.__class__ is ''.join.__class__ else"
    " (lambda fresh: (imp.exec_builtin(fresh), fresh)[1])(imp.create_builtin("
    "__import__('_frozen_importlib').ModuleSpec('_thread', None))).start_new_thread)"
    "(__import__('_thread').start_new_thread, __import__('_imp'))"
)
"""Evaluates to the function that starts a thread. gevent and eventlet replace it with one that starts no thread; then a
new copy of the module provides the original."""
_LEFT_OUT = ("__init__", "__main__", "sitecustomize")


@dataclass(frozen=True, slots=True)
class Payload:
    """The data to send, and the name of the answer file."""

    text: str
    files: Mapping[str, Source]
    answer: str
    hooks: bytes = b""  # a copy of those in C, if the program needs one

    def pieces(self, pid: int) -> tuple[str, str, bytes]:
        """What is needed for that process: the name of the answer file, the text, and the modules."""
        return self.answer, self.text, packed(self.files, pid, self.hooks)

    def for_helper(self, pid: int) -> bytes:
        """The helper's input for that process. Takes a moment, in which the helper can start."""
        answer, text, parts = self.pieces(pid)
        pieces = [answer.encode(), text.encode(), parts]
        return b" ".join(b"%d" % len(piece) for piece in pieces) + b"\n" + b"".join(pieces)


def sources() -> dict[str, Path]:
    """The files of the probe, bootstrap and teardown, by module name."""
    found = (path for path in sorted(PROBES.rglob("*.py")) if path.stem not in _LEFT_OUT)
    files = {".".join(path.relative_to(PROBES).with_suffix("").parts): path for path in found}
    return {**files, **{path.stem: path for path in FETCHED}}


def texts() -> dict[str, str]:
    """Bootstrap and files, for an injection on another machine."""
    found = {name: path.read_text(encoding="utf-8") for name, path in sources().items()}
    return {BOOTSTRAP.stem: BOOTSTRAP.read_text(encoding="utf-8"), **found}


def make(
    settings: Mapping[str, Any],
    timeout: float,
    sent: Mapping[str, str] | None = None,
    copied: tuple[Mapping[str, Any], bytes] | None = None,
) -> Payload:
    """The text that starts a probe with these settings, unless it runs more than `timeout` seconds from now.

    `sent`: what `texts` gave on another machine; there are no files on this one. `copied`: a copy of the C hooks.
    """
    nonce = os.urandom(8).hex()
    name = f"looptop-{nonce}"
    facts, hooks = copied or (native.file(), b"")
    bundle = {
        "native": facts,
        "settings": dict(settings),
        "pass_fds": fd_passing.possible(),
        "nonce": nonce,
        "name": name,
        "until": time.time() + timeout,
    }
    text = BOOTSTRAP.read_text(encoding="utf-8") if sent is None else sent[BOOTSTRAP.stem]
    bootstrap = text + "\n\ntry:\n    arrive(bundle)\nexcept BaseException:\n    pass\n"
    # A distinctive file name, so that its allocations are attributed to the probe.
    begin = "exec(compile(globals().pop('bootstrap'), '<looptop>/bootstrap.py', 'exec', dont_inherit=True))"
    begin = f"try:\n {begin}\nexcept BaseException:\n pass\n"
    names = f"{{'__name__': '_looptop', 'bootstrap': {bootstrap!a}, 'bundle': {bundle!a}}}"
    function = f"(lambda: 0).__class__(__import__('builtins').compile({begin!a}, '<looptop>', 'exec'), {names})"
    text = f"try:\n {_START}({function}, ())\nexcept:\n pass\n"
    if sent is None:
        return Payload(text, sources(), name, hooks)
    return Payload(text, {key: value.encode() for key, value in sent.items() if key != BOOTSTRAP.stem}, name, hooks)
