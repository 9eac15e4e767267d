"""Writes what the docs take from the code (`make docs`): settings, keys, columns, rules of `looptop check`, samples.

A test runs this and fails if a file in the repository is not what it would write.
"""

from __future__ import annotations

import sys
from pathlib import Path

from samples_page import page

from monitor.check.rules import RULES
from monitor.findings.columns import GLYPHS
from monitor.findings.kinds import KINDS
from monitor.metrics.table import COUNTER, METRICS
from monitor.plain.check import fixes
from monitor.recording.compare import FIGURES
from monitor.store.columns import TASKS
from monitor.tui.base.keys import keys_table
from probes.base.settings import SETTINGS

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / "docs" / "config.md"
CHECK = ROOT / "docs" / "check.md"
FINDINGS = ROOT / "docs" / "findings.md"
SAMPLES = ROOT / "docs" / "samples.md"
RECORDING = ROOT / "docs" / "recording.md"
METRICS_PAGE = ROOT / "docs" / "metrics.md"
SCREENS = ROOT / "docs" / "screens.md"
KEYS = ("<!-- keys: made by make docs -->", "<!-- end of keys -->")
CHECK_RULES = ("<!-- rules: made by make docs -->", "<!-- end of rules -->")
KINDS_PART = ("<!-- kinds: made by make docs -->", "<!-- end of kinds -->")
FIGURES_PART = ("<!-- figures: made by make docs -->", "<!-- end of figures -->")
METRICS_PART = ("<!-- metrics: made by make docs -->", "<!-- end of metrics -->")
COLUMNS = ("<!-- columns: made by make docs -->", "<!-- end of columns -->")

_CONFIG_HEAD = """# Settings

Made by `make docs` from `probes/base/settings.py`. Each setting of the probe is a keyword argument of
`probes.install()` and `probes.watching()`, and an environment variable; the argument wins. An invalid value is reported
in one line on stderr and the default is used, for one beyond its limits the limit. `looptop run` passes on `--name`,
`--listen`, `--cert`, `--key`, `--insecure`, `--slow` and `--token-file`.

| argument | variable | unit | default | |
|---|---|---|---|---|
"""

_CONFIG_TAIL = """
Variables of both sides:

| variable | |
|---|---|
| `LOOPTOP` | `1`: `python -m probes SCRIPT` installs the probe; otherwise the script runs without it |
| `LOOPTOP_DIR` | directory of the sockets; default: see [protocol.md](protocol.md#finding-a-probe) |
| `LOOPTOP_TOKEN` | for a viewer: the token for a program on TCP, instead of `--token-file` |
| `LOOPTOP_CAFILE` | for a viewer: certificates to trust, for a program on TCP with TLS, instead of `--cafile` |
| `LOOPTOP_PURE` | `1`: use the hooks in Python even if those in C are built |
| `LOOPTOP_DEBUG` | `1`: errors of looptop show a traceback instead of one line |
| `NO_COLOR` | no colours, in tables and in the dashboard |

What a viewer chooses (rate, threshold of slow callbacks, filter, origins) applies to that viewer only, until it
disconnects; see the `watch` frame in [protocol.md](protocol.md).
"""


def config() -> str:
    """The text of docs/config.md."""
    rows = []
    for setting in SETTINGS:
        default = {True: "yes", False: "no", "": ""}.get(setting.default, setting.default)
        variable = f"LOOPTOP_{setting.name.upper()}"
        rows.append(f"| `{setting.name}` | `{variable}` | {setting.unit} | {default} | {setting.help} |")
    return _CONFIG_HEAD + "\n".join(rows) + "\n" + _CONFIG_TAIL


def columns() -> str:
    """The columns of the task table, for docs/screens.md."""
    rows = [f"| {column.title} | `{column.key}` | {column.help} |" for column in TASKS]
    return "| column | in filters and JSON | |\n|---|---|---|\n" + "\n".join(rows)


def rules() -> str:
    """The rules of `looptop check`, for docs/check.md."""
    rows = [
        f"| `{rule.code}` | {rule.name} | {rule.why} | {'; '.join(fixes(rule))} | {rule.ruff and f'`{rule.ruff}`'} |"
        for rule in RULES.values()
    ]
    return "| code | name | why | write | ruff |\n|---|---|---|---|---|\n" + "\n".join(rows)


def kinds() -> str:
    """The kinds of findings, for docs/findings.md: a list to find them in, then each with its thresholds."""
    lines = ["✗ something is broken, ! something will be. The worst first, as on the screen.", ""]
    lines += ["| | kind | what | sample | fix |", "|---|---|---|---|---|"]
    lines += [
        f"| {GLYPHS[kind.weight]} | [`{kind.key}`](#{kind.key}) | {kind.title} "
        f"| {_sample(kind.sample)} | {_sample(kind.fix)} |"
        for kind in KINDS
    ]
    for kind in KINDS:
        lines += ["", f"### {kind.key}", "", f"{kind.why} {kind.advice}", ""]
        lines += [f"* Known from: {kind.known}.", f"* Not seen: {kind.unseen}."]
        settings = "; ".join(f"`{one.key}` {one.default:g} {one.unit} ({one.help})" for one in kind.thresholds)
        lines.append(f"* Thresholds: {settings}.")
    return "\n".join(lines)


def figures() -> str:
    """What `looptop compare` compares, for docs/recording.md."""
    rows = [f"| `{figure.key}` | {figure.unit} | {figure.help} |" for figure in FIGURES]
    return "| figure | unit | |\n|---|---|---|\n" + "\n".join(rows)


def metrics() -> str:
    """What `looptop metrics` gives, for docs/metrics.md."""
    rows = [
        f"| `{one.prometheus}{'_total' * (one.kind == COUNTER)}` | `{one.name}` | {one.kind} | {one.unit} "
        f"| {', '.join(f'`{label}`' for label in ('worker', *one.labels))} | {one.help} |"
        for one in METRICS
    ]
    return "| Prometheus | OpenTelemetry | kind | unit | labels | |\n|---|---|---|---|---|---|\n" + "\n".join(rows)


def _sample(name: str) -> str:
    return f"`{name}`" if name else ""


def filled(path: Path, *parts: tuple[tuple[str, str], str]) -> str:
    """A file with its generated parts as they should be."""
    text = path.read_text(encoding="utf-8")
    for (start, end), made in parts:
        before, _, rest = text.partition(start)
        _, _, after = rest.partition(end)
        text = f"{before}{start}\n{made.strip()}\n{end}{after}"
    return text


def wanted() -> dict[Path, str]:
    """What each file should be."""
    return {
        CONFIG: config(),
        SCREENS: filled(SCREENS, (KEYS, keys_table()), (COLUMNS, columns())),
        SAMPLES: page(),
        CHECK: filled(CHECK, (CHECK_RULES, rules())),
        FINDINGS: filled(FINDINGS, (KINDS_PART, kinds())),
        METRICS_PAGE: filled(METRICS_PAGE, (METRICS_PART, metrics())),
        RECORDING: filled(RECORDING, (FIGURES_PART, figures())),
    }


def main() -> int:
    """Writes the files; with `--check` only says which would change (exit status 1)."""
    stale = {
        path: text for path, text in wanted().items() if not path.exists() or path.read_text(encoding="utf-8") != text
    }
    if "--check" in sys.argv[1:]:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(ROOT)} is not what `make docs` writes\n")
        return 1 if stale else 0
    for path, text in stale.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
