"""The thresholds: defaults of the kinds, changed by configuration files. A bad file is one clear line.

    [findings]
    hold = 10

    [findings.tasks_growing]
    least = 100

    [findings.timers_piling_up]
    off = true

`looptop.toml` of the current folder is taken before that of the user, `$XDG_CONFIG_HOME/looptop/config.toml`.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.errors import UsageError
from monitor.findings.kinds import BY_KEY, HOLD, KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT_FILE = "looptop.toml"
MOST = 1e9


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What decides. `files` are those that were read, the strongest last."""

    hold: float = HOLD.default
    values: Mapping[tuple[str, str], float] = field(default_factory=dict)  # (kind, key), where not the default
    off: frozenset[str] = frozenset()
    files: tuple[Path, ...] = ()

    def of(self, kind: str, key: str) -> float:
        """One threshold of a kind."""
        value = self.values.get((kind, key))
        return BY_KEY[kind].default(key) if value is None else value

    def after(self, kind: str) -> float:
        """How long signs of a kind must last; 0 where the rule itself looks at a stretch of time."""
        if any(threshold.key == "after" for threshold in BY_KEY[kind].thresholds):
            return self.of(kind, "after")
        return 0.0


def places(environ: Mapping[str, str], folder: Path) -> list[Path]:
    """Where configuration is looked for, the strongest last."""
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME", "~"), ".config")  # noqa: PTH118
    return [Path(home).expanduser() / "looptop" / "config.toml", folder / PROJECT_FILE]


def load(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Thresholds:
    """The thresholds of this user in this folder. Raises UsageError for a file that can not be taken."""
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
            raise UsageError(f"{path} can not be read: {error.strerror}", "make it readable, or move it away") from None
        hold = _take(path, _parse(path, text), values, off, hold)
        files.append(path)
    return Thresholds(hold, values, frozenset(kind for kind, is_off in off.items() if is_off), tuple(files))


def _parse(path: Path, text: bytes) -> Mapping[str, Any]:
    try:
        found: Any = tomllib.loads(text.decode("utf-8")).get("findings", {})
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8", "write it again as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is no TOML: {error}", "looptop config prints a good one") from None
    if not isinstance(found, dict):
        raise UsageError(f"{path}: findings must be a table", "write [findings]")
    return found


def _take(
    path: Path, found: Mapping[str, Any], values: dict[tuple[str, str], float], off: dict[str, bool], hold: float
) -> float:
    """Adds what a file says; returns its `hold`."""
    for kind, table in found.items():
        where = f"{path}: findings.{kind}"
        if kind == HOLD.key:
            hold = _number(where, table)
            continue
        if kind not in BY_KEY:
            raise UsageError(f"{where}: no such kind", _instead(kind, [*BY_KEY, HOLD.key]))
        if not isinstance(table, dict):
            raise UsageError(f"{where} must be a table", f"write [findings.{kind}]")
        known = [threshold.key for threshold in BY_KEY[kind].thresholds]
        for key, value in table.items():
            if key == "off":
                if not isinstance(value, bool):
                    raise UsageError(f"{where}.off must be true or false", "off = true")
                off[kind] = value
            elif key not in known:
                raise UsageError(f"{where}.{key}: no such threshold", _instead(key, [*known, "off"]))
            else:
                values[kind, key] = _number(f"{where}.{key}", value)
    return hold


def _number(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MOST:
        raise UsageError(f"{where} must be a number from 0 to {MOST:g}", "looptop config shows all of them")
    return float(value)


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
