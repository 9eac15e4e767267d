"""The settings of the probe: keyword arguments, or environment variables of the same names prefixed with LOOPTOP_.

An invalid value is reported in one line on stderr and the default is used, for one beyond its limits the limit: a probe
never stops a program.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Setting:
    """One setting. Not a dataclass: those need a module in `sys.modules`, and take long to create."""

    __slots__ = ("default", "help", "name", "unit")

    def __init__(self, name: str, default: Any, unit: str, text: str) -> None:
        self.name = name
        self.default = default
        self.unit = unit
        self.help = text


SETTINGS = (
    Setting("name", "", "text", "name to find the program by (`@NAME`); default: the name of its script or module"),
    Setting(
        "listen",
        "",
        "address",
        "also listen on `HOST:PORT` (TCP with a token; beyond loopback only with `cert` and `key`) or on `unix:PATH` "
        "(for this user and root)",
    ),
    Setting("cert", "", "path", "certificate chain (PEM) for TLS on TCP"),
    Setting("key", "", "path", "private key of `cert` (PEM, not encrypted), not readable by others"),
    Setting("insecure", False, "yes/no", "listen beyond loopback without TLS: what is sent can be read on the way"),
    Setting("token_file", "", "path", "file with the token for TCP, readable by its owner only; default: one is made"),
    Setting(
        "token",
        "",
        "text",
        "the token itself, at least 16 characters; prefer a file: others may be able to read the environment",
    ),
    Setting("slow", 0.1, "s", "threshold of slow callbacks unless a viewer sets its own; at least 0.01"),
    Setting("ended", 1000, "count", "how many ended tasks are kept, 1 to 100000"),
    Setting(
        "control",
        True,
        "yes/no",
        "let viewers cancel tasks, trace memory, read local variables and detach the probe",
    ),
    Setting(
        "locals", False, "yes/no", "keep local variables of failing tasks; values that look like secrets are masked"
    ),
    Setting(
        "trace",
        4.0,
        "MiB",
        "memory for the most recent steps and what woke them, 0.16 to 1024 (C hooks only); 0 for none",
    ),
    Setting(
        "skip",
        "",
        "paths, comma",
        "further files never taken as a creation site, each as a part of its path",
    ),
    Setting(
        "label",
        "",
        "MODULE:VARIABLE",
        "context variable of the program that names what a task works on (`myapp.ctx:route`); read after each step",
    ),
    Setting(
        "history",
        True,
        "yes/no",
        "count and keep history from the start, before any viewer connects (C hooks only)",
    ),
    Setting(
        "box",
        "8MiB",
        "size or path, comma",
        "size of the black box, which survives a kill, and its folder (default: runtime directory); `off`: none",
    ),
    Setting(
        "box_flame",
        0,
        "per second",
        "samples per second that the black box holds for a flame graph of what loops ran, 10 to 100 (C hooks only); "
        "0 for none",
    ),
    Setting("keep_box", False, "yes/no", "keep the black box after a normal exit, too"),
    Setting(
        "dump_signal",
        "",
        "signal",
        "write the tasks to stderr as a tree at this signal (`SIGUSR1`, `SIGUSR2` or `SIGQUIT`); "
        "refused if the program handles or ignores it",
    ),
    Setting("expect", 0.0, "s", "count from the start for this long, even if no viewer has connected"),
    Setting("leave", False, "yes/no", "remove the probe when its last viewer leaves, or if none connects within 10 s"),
    Setting("announce", False, "yes/no", "print one line on stderr that says where to connect"),
)
"""`docs/config.md` is made from this."""


class Settings:
    """The validated settings of a probe."""

    __slots__ = tuple(setting.name for setting in SETTINGS)

    name: str
    listen: str
    cert: str
    key: str
    insecure: bool
    token_file: str
    token: str
    slow: float
    ended: int
    control: bool
    locals: bool
    trace: float
    skip: str
    label: str
    history: bool
    box: str
    box_flame: int
    keep_box: bool
    dump_signal: str
    expect: float
    leave: bool
    announce: bool

    def __init__(self, **chosen: Any) -> None:
        for setting in SETTINGS:
            setattr(self, setting.name, chosen.get(setting.name, setting.default))


def from_environment(environ: Mapping[str, str], given: Mapping[str, Any]) -> Settings:
    """Settings from keyword arguments, else from the environment, else the defaults."""
    chosen: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for setting in SETTINGS:
        name, variable = setting.name, f"LOOPTOP_{setting.name.upper()}"
        if given.get(name) is not None:
            value, source = given[name], name
        elif variable in environ:
            value, source = environ[variable], variable
        else:
            continue
        sources[name] = source
        try:
            chosen[name] = _convert(value, setting.default)
        except (ValueError, TypeError):
            warn(f"{source}={value!r} is not valid ({setting.unit}); using {setting.default!r}")
    unknown = sorted(set(given) - {setting.name for setting in SETTINGS})
    if unknown:
        warn(f"no such setting: {', '.join(unknown)}")
    return _bounded(Settings(**chosen), sources)


def _convert(value: Any, default: Any) -> Any:
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
        word = str(value).lower()
        if word not in _WORDS:
            raise ValueError(word)
        return _WORDS[word]
    if isinstance(default, int):
        return int(value)
    if isinstance(default, float):
        number = float(value)
        if not 0 <= number < 1e9:
            raise ValueError(number)
        return number
    return str(value)


_WORDS = {"1": True, "yes": True, "true": True, "on": True, "0": False, "no": False, "false": False, "off": False}


_LIMITS: tuple[tuple[str, float, float], ...] = (
    ("slow", 0.01, 1e9),
    ("trace", 0.16, 1024.0),
    ("box_flame", 10, 100),
    ("ended", 1, 100_000),
)
_NONE_AT_0 = ("trace", "box_flame")


def _bounded(settings: Settings, sources: Mapping[str, str]) -> Settings:
    """Keeps figures within their limits; says so in one line for each that was not."""
    for name, least, most in _LIMITS:
        value = getattr(settings, name)
        bounded = min(max(value, least), most)
        if value <= 0 and name in _NONE_AT_0:
            bounded = 0
        if bounded != value:
            warn(f"{sources[name]}={value} is beyond its limit; using {bounded:g}")
            setattr(settings, name, bounded)
    return settings


def text_of(error: BaseException) -> str:
    """Type and message of an exception. Never raises, although its class and patched builtins are the program's."""
    try:
        return f"{error.__class__.__name__}: {error}"
    except Exception:
        return "an exception without text"


def warn(text: str) -> None:
    """Writes one line to stderr, if there is a stderr."""
    try:
        sys.stderr.write(f"looptop: {text}\n")
        sys.stderr.flush()
    except Exception:
        return
