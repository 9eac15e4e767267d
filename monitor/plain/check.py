"""Output of `looptop check`: lines for people, objects for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor import formatting as fmt
from monitor.check.rules import OLDEST, RULES, Rule, Version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.check.analysis import Report
    from monitor.check.diagnostic import Diagnostic

_BOLD, _DIM, _RED, _YELLOW, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[33m", "\x1b[0m"


def lines(report: Report, colour: bool) -> Iterator[str]:
    """Four lines per finding, and a last line with their number."""
    for one in report.found:
        yield from _finding(one, report.python, colour)
        yield ""
    yield total(report)


def total(report: Report) -> str:
    """The number of findings and files, and the Python version."""
    among = f"{fmt.of_many(report.files, 'file')} for Python {report.python[0]}.{report.python[1]}"
    if not report.found:
        return f"no findings in {among}"
    touched = len({one.path for one in report.found})
    return f"{fmt.of_many(len(report.found), 'finding')} in {touched} of {among}"


def _finding(one: Diagnostic, python: Version, colour: bool) -> Iterator[str]:
    bold, dim, plain = (_BOLD, _DIM, _PLAIN) if colour else ("", "", "")
    mark = (_RED if one.rule.level(python) == "error" else _YELLOW) if colour else ""
    place = f"{fmt.clean(one.path)}:{one.line}:{one.column}"
    yield f"{bold}{place}{plain}: {mark}{one.code}{plain} {one.rule.name}: {fmt.clean(one.what)}"
    if one.text:
        yield f"    {fmt.clean(one.text)}"
    yield f"    {dim}why:{plain}   {one.rule.why}"
    known = f"   {dim}(ruff: {one.rule.ruff}){plain}" if one.rule.ruff else ""
    yield f"    {dim}write:{plain} {one.rule.fix(python)}{known}"


def objects(report: Report) -> dict[str, Any]:
    """The whole report, for JSON."""
    return {
        "python": f"{report.python[0]}.{report.python[1]}",
        "files": report.files,
        "notes": report.notes,
        "found": [_object(one, report.python) for one in report.found],
    }


def _object(one: Diagnostic, python: Version) -> dict[str, Any]:
    return {
        "file": one.path,
        "line": one.line,
        "column": one.column,
        "end_line": one.end_line,
        "end_column": one.end_column,
        "code": one.code,
        "name": one.rule.name,
        "level": one.rule.level(python),
        "what": one.what,
        "text": one.text,
        "why": one.rule.why,
        "write": one.rule.fix(python),
        "ruff": one.rule.ruff or None,
    }


def rules() -> Iterator[str]:
    """The rules, one after another."""
    for rule in RULES.values():
        yield f"{rule.code} {rule.name}" + (f" (ruff: {rule.ruff})" if rule.ruff else "")
        yield f"    why:   {rule.why}"
        yield from (f"    write: {fix}" for fix in fixes(rule))


def fixes(rule: Rule) -> list[str]:
    """The fixes, each with the first Python version that supports it."""
    return [text if since == OLDEST else f"{text} (from {since[0]}.{since[1]} on)" for since, text in rule.fixes]


def rules_object() -> list[dict[str, Any]]:
    """The rules, for JSON."""
    return [
        {"code": rule.code, "name": rule.name, "why": rule.why, "write": fixes(rule), "ruff": rule.ruff or None}
        for rule in RULES.values()
    ]
