"""Parses `TARGET via COMMAND`, where COMMAND leads to the machine or container of the TARGET."""

from __future__ import annotations

import re
import shlex

from monitor.errors import UsageError

PYTHON = "python3"
FORMS = "ssh://HOST/PID or ssh://HOST/@NAME"
_VIA = re.compile(r"(?P<target>\S.*?) via (?P<command>\S.*)", re.DOTALL)
_SSH = re.compile(
    r"ssh://(?P<login>(?:[^@/]+@)?(?:\[[0-9A-Fa-f:.%]+\]|[^@/:\[\]]+))(?::(?P<port>\d{1,5}))?/(?P<target>.+)", re.DOTALL
)
_INTERPRETER = re.compile(r"(?:\S*/)?(?:python|pypy)\d*(?:\.\d+)?[a-z]?")


def split(text: str) -> tuple[str, str] | None:
    """Split into the TARGET on the other side and the command that leads there; None for a TARGET on this machine.

    Raises UsageError for a malformed `ssh://` URL.
    """
    if text.startswith("ssh://"):
        return _of_url(text)
    found = _VIA.fullmatch(text)
    return None if found is None else (found["target"], found["command"])


def join(target: str, command: str) -> str:
    """Combine a TARGET and the command that leads to it."""
    return f"{target} via {command}"


def _of_url(text: str) -> tuple[str, str]:
    found = _SSH.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is not a target", FORMS)
    login = found["login"].replace("[", "").replace("]", "")
    user, _, host = login.rpartition("@")
    if user.startswith("-") or host.startswith("-"):  # ssh would take it for an option
        raise UsageError(f"{text!r} is not a target", f"{login!r} is no host")
    words = ["ssh", *(["-p", found["port"]] if found["port"] else []), login]
    return found["target"], shlex.join(words)


def words(command: str) -> list[str]:
    """The command as a list: the interpreter there is its last word, or `python3`. Raises UsageError."""
    try:
        found = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--via {command!r} is no command", str(error)) from None
    if not found:
        raise UsageError("--via without a command", "for example --via 'ssh HOST'")
    return found if _INTERPRETER.fullmatch(found[-1]) else [*found, PYTHON]
