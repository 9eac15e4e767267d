"""Starts a program with the probe: picks the interpreter, sets the environment, and executes it."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from monitor.errors import UsageError
from monitor.parsing import host_port
from probes.base import protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BOOT = Path(protocol.__file__).parent.parent / "boot"
"""Directory of the `sitecustomize` that starts the probe and removes every trace of itself."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings passed to the probe; None leaves one to its environment variable or default."""

    name: str | None = None
    listen: str | None = None
    slow: float | None = None
    token_file: str | None = None
    expect: float | None = None
    announce: bool = True
    locals: bool | None = None
    cert: str | None = None
    key: str | None = None
    insecure: bool | None = None


ALWAYS_WITH_WORKERS = ("gunicorn", "hypercorn", "granian")
"""Servers that start a process even for a single worker."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A program to start: interpreter, arguments, and settings of the probe."""

    argv: tuple[str, ...]
    settings: Settings
    children: bool | None = None
    """Whether what it starts with `multiprocessing` gets a probe, too; None: if it serves in such processes."""

    @property
    def with_workers(self) -> bool:
        """Whether it serves in processes that it starts: its command line asks for them, or it always does."""
        name, words = self._name, _words(self.argv)
        options = ("--workers", "-w") if name in ("gunicorn", "hypercorn") else ("--workers",)
        given = [after for word, after in pairwise((*words, "")) if word in options]
        if name in ALWAYS_WITH_WORKERS:
            return given[-1:] != ["0"]
        reloads = name == "uvicorn" and "--reload" in words
        return reloads or any(number.isdigit() and int(number) > 1 for number in given)

    @property
    def lost_workers(self) -> str:
        """How its workers get a probe, if it starts some and they would have none; else empty."""
        forks = self._name in ("gunicorn", "granian")
        if not self.with_workers or not (forks or self.children is False):
            return ""
        return "call probes.install() in the module of the app" if forks else "looptop run without --no-children"

    @property
    def _children(self) -> bool:
        return self.with_workers and not self.lost_workers if self.children is None else self.children

    def environment(self, environ: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment that makes the interpreter start the probe."""
        environ = os.environ if environ is None else environ
        before = environ.get("PYTHONPATH")
        settings = {
            "name": self.settings.name,
            "listen": self.settings.listen,
            "slow": self.settings.slow,
            "token_file": self.settings.token_file,
            "expect": self.settings.expect,
            "announce": self.settings.announce,
            "locals": self.settings.locals,
            "cert": self.settings.cert,
            "key": self.settings.key,
            "insecure": self.settings.insecure,
        }
        given = {key: value for key, value in settings.items() if value is not None}
        plan: dict[str, Any] = {"pythonpath": before, "settings": given}
        if self._children:  # only one process can listen on an address
            plan["children"] = {"name": self._name, **given, "listen": "", "expect": 0.0, "announce": False}
        return {
            **environ,
            "PYTHONPATH": f"{BOOT}{os.pathsep}{before}" if before else str(BOOT),
            "LOOPTOP_BOOT": json.dumps(plan),
        }

    @property
    def _name(self) -> str:
        """The name that the probe of the program finds for itself; its children cannot."""
        module = self.argv[1:2] == ("-m",)
        return self.argv[2] if module else Path(self.argv[1]).name.removesuffix(".py")

    def become(self) -> NoReturn:
        """Replace this process by the program, so that status, signals and streams are its own."""
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        # Python ignores these two itself, and execve(2) would pass that on to the program.
        ours = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGPIPE, signal.SIGXFSZ)}
        try:
            os.execve(self.argv[0], self.argv, self.environment())  # noqa: S606 - no shell wanted
        except OSError as error:
            for number, handler in ours.items():
                signal.signal(number, handler)
            raise UsageError(f"{self.argv[0]} cannot be started", error.strerror or str(error)) from None


_PYTHON = re.compile(r"python[\d.]*")


def _words(argv: Sequence[str]) -> list[str]:
    return [part for word in argv for part in (word.split("=", 1) if word.startswith("--") else [word])]


def command(python: str | None, words: Sequence[str]) -> tuple[str, ...]:
    """The command line for `SCRIPT [ARG…]` or `-m MODULE [ARG…]`. Raises UsageError for what cannot be run."""
    if not words:
        raise UsageError("nothing to run", "looptop run SCRIPT [ARG…], or looptop run -m MODULE [ARG…]")
    first = words[0]
    if first.startswith("-m") and not first.startswith("--"):
        module = first[2:] or (words[1] if len(words) > 1 else "")
        if not module:
            raise UsageError("-m without a module", "looptop run -m MODULE [ARG…]")
        rest = words[1:] if first[2:] else words[2:]
        return (interpreter(python), "-m", module, *rest)
    script = Path(first)
    if _PYTHON.fullmatch(script.name) and (not script.exists() or (script.is_file() and os.access(script, os.X_OK))):
        rest = " ".join(words[1:3]) or "SCRIPT"
        raise UsageError(f"{first} is an interpreter, not a script", f"looptop run --python {first} {rest}")
    if not script.exists():
        hint = f"to run a module: looptop run -m {first}" if "." not in script.suffix and "/" not in first else ""
        raise UsageError(f"no such script: {first}", hint or "is the path right?")
    if script.is_dir() and not (script / "__main__.py").is_file():
        raise UsageError(f"{first} is a folder without a __main__.py", "name a script")
    if not os.access(script, os.R_OK):
        raise UsageError(f"{first} cannot be read", "is it yours?")
    return (interpreter(python), *words)


def interpreter(chosen: str | None, environ: Mapping[str, str] | None = None) -> str:
    """The Python that runs the program: the chosen one, else the active environment's, else our own."""
    environ = os.environ if environ is None else environ
    if chosen:
        found = _which(chosen, environ)
        if found is None:
            raise UsageError(f"no such interpreter: {chosen}", "give the path of a Python 3.11 or newer")
        return found
    active = environ.get("VIRTUAL_ENV")
    if active and Path(active) != Path(sys.prefix):
        found = _which(str(Path(active) / "bin" / "python"), environ)
        if found is not None:
            return found
    return sys.executable


def _which(name: str, environ: Mapping[str, str]) -> str | None:
    import shutil

    return shutil.which(name, path=environ.get("PATH"))


def check_listen(address: str | None, cert: str | None = None, key: str | None = None, insecure: bool = False) -> None:
    """Raise UsageError unless the address is a HOST:PORT or unix:PATH to listen on, and safe or wanted unsafe."""
    if (cert is None) != (key is None):
        raise UsageError("--cert and --key go together", "give both")
    if address is None or address.startswith("unix:"):
        if cert is not None:
            raise UsageError("--cert and --key are for TCP", "for example --listen 0.0.0.0:7777")
        if address == "unix:":
            raise UsageError("--listen unix: without a path", "for example --listen unix:/shared/api.sock")
        return
    place = host_port(address)
    if place is None or not place[0] or place[1] > 65535:
        raise UsageError(f"{address!r} is not an address to listen on", "for example --listen 127.0.0.1:7777")
    for path in (cert, key):
        if path is not None and not os.access(path, os.R_OK):
            raise UsageError(f"{path} cannot be read", "is the path right?")
    loopback = place[0] in ("localhost", "::1") or place[0].startswith("127.")
    if not loopback and cert is None and not insecure:
        text = "plain TCP beyond loopback can be read by others on the way"
        raise UsageError(text, "add --cert and --key, or --insecure")


def exit_status(returncode: int) -> int:
    """The exit status as a shell reports it: 128 plus the signal number for a killed program."""
    return 128 - returncode if returncode < 0 else returncode


def describe_status(returncode: int) -> str:
    """How a program ended, in words."""
    if returncode >= 0:
        return f"the program ended with status {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    return f"the program was ended by {name}"
