"""Thresholds of findings: the defaults of their kinds, changed by configuration files that msgspec validates.

    [findings]
    hold = 10

    [findings.tasks_growing]
    least = 100

    [findings.timers_piling_up]
    off = true

`looptop.toml` in the current folder overrides the user's `$XDG_CONFIG_HOME/looptop/config.toml`, key by key.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from monitor.errors import UsageError
from monitor.findings.kinds import BY_KEY, HOLD, KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT_FILE = "looptop.toml"
MOST = 1e9
_Number = Annotated[float, msgspec.Meta(ge=0, le=MOST)]
_UNKNOWN = re.compile(r"unknown field `(.*)`")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The thresholds in force."""

    hold: float = HOLD.default
    values: Mapping[tuple[str, str], float] = field(default_factory=dict)  # by (kind, key); only those changed
    off: frozenset[str] = frozenset()  # kinds that are not looked for
    files: tuple[Path, ...] = ()  # the files read, in rising precedence

    def of(self, kind: str, key: str) -> float:
        """The value of one threshold of a kind."""
        value = self.values.get((kind, key))
        return BY_KEY[kind].default(key) if value is None else value

    def after(self, kind: str) -> float:
        """Seconds that an observation must last before it is reported; 0 if the rule itself looks at a window."""
        if any(threshold.key == "after" for threshold in BY_KEY[kind].thresholds):
            return self.of(kind, "after")
        return 0.0


def places(environ: Mapping[str, str], folder: Path) -> list[Path]:
    """Paths of the configuration files, in rising precedence."""
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME", "~"), ".config")  # noqa: PTH118
    return [Path(home).expanduser() / "looptop" / "config.toml", folder / PROJECT_FILE]


def load(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Thresholds:
    """The thresholds for this user in this folder. Raises UsageError for a file that is unreadable or invalid."""
    hold = HOLD.default
    values: dict[tuple[str, str], float] = {}
    off: dict[str, bool] = {}
    files = []
    for path in places(os.environ if environ is None else environ, folder or Path()):
        try:
            text = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}", "make it readable, or move it away") from None
        for kind, table in _parse(path, text).items():
            if kind == HOLD.key:
                hold = table
                continue
            if "off" in table:
                off[kind] = table.pop("off")
            values |= {(kind, key): value for key, value in table.items()}
        files.append(path)
    return Thresholds(hold, values, frozenset(kind for kind, is_off in off.items() if is_off), tuple(files))


def _parse(path: Path, text: bytes) -> Mapping[str, Any]:
    """The `findings` of a file: kinds with their thresholds, and `hold`. Raises UsageError."""
    try:
        checked = msgspec.convert(tomllib.loads(text.decode("utf-8")), _schema())
        found: Mapping[str, Any] = msgspec.to_builtins(checked).get("findings", {})
        return found
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8", "save it as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}", "looptop config prints a valid file") from None
    except msgspec.ValidationError as error:
        raise _explained(path, str(error)) from None


@cache
def _schema() -> type[msgspec.Struct]:
    """A configuration file, made of the table of kinds. Sections other than `findings` are not looptop's to check."""

    def optional(key: str, of: Any) -> tuple[str, Any, Any]:
        return key, of | msgspec.UnsetType, msgspec.UNSET

    def table(name: str, fields: list[tuple[str, Any, Any]], strict: bool = True) -> type[msgspec.Struct]:
        return msgspec.defstruct(name, fields, forbid_unknown_fields=strict)

    kinds = [
        optional(
            kind.key, table(kind.key, [optional("off", bool), *(optional(t.key, _Number) for t in kind.thresholds)])
        )
        for kind in KINDS
    ]
    return table("file", [optional("findings", table("findings", [optional(HOLD.key, _Number), *kinds]))], strict=False)


def _explained(path: Path, error: str) -> UsageError:
    """What msgspec reports, in the words of the file."""
    problem, _, at = error.partition(" - at `$.")
    names = at.rstrip("`").split(".")
    where = f"{path}: {'.'.join(names)}"
    unknown = _UNKNOWN.search(problem)
    if unknown is not None and len(names) == 1:
        return UsageError(f"{where}.{unknown[1]}: no such kind", _instead(unknown[1], [*BY_KEY, HOLD.key]))
    if unknown is not None:
        known = [threshold.key for threshold in BY_KEY[names[1]].thresholds]
        return UsageError(f"{where}.{unknown[1]}: no such threshold", _instead(unknown[1], [*known, "off"]))
    if names[-1] == "off":
        return UsageError(f"{where} must be true or false", "off = true")
    if len(names) == 3 or names[-1] == HOLD.key:
        return UsageError(f"{where} must be a number from 0 to {MOST:g}", "looptop config shows all of them")
    return UsageError(f"{where} must be a table", f"write [{'.'.join(names)}]")


def _instead(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"


def as_toml(thresholds: Thresholds) -> list[str]:
    """The thresholds as a configuration file, with what each means."""
    lines = ["[findings]", _setting(HOLD.key, thresholds.hold, HOLD.unit, HOLD.help)]
    for kind in KINDS:
        lines += ["", f"[findings.{kind.key}]  # {kind.title}"]
        if kind.key in thresholds.off:
            lines.append("off = true")
        for threshold in kind.thresholds:
            value = thresholds.of(kind.key, threshold.key)
            lines.append(_setting(threshold.key, value, threshold.unit, threshold.help))
    return lines


def _setting(key: str, value: float, unit: str, text: str) -> str:
    return f"{f'{key} = {value:g}':<18} # {unit}: {text}"
