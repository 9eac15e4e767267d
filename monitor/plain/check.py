"""Output of `looptop check`: lines for people, objects for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor import formatting as fmt
from monitor.check.rules import OLDEST, RULES, Rule, Version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.check.diagnostic import Found
    from monitor.check.look import Looked

_BOLD, _DIM, _RED, _YELLOW, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[33m", "\x1b[0m"


def lines(looked: Looked, colour: bool) -> Iterator[str]:
    """Four lines per finding, and a last line with their number."""
    for one in looked.found:
        yield from _finding(one, looked.python, colour)
        yield ""
    yield total(looked)


def total(looked: Looked) -> str:
    """The number of findings and files, and the Python version."""
    among = f"{looked.files} {_plural('file', looked.files)} for Python {looked.python[0]}.{looked.python[1]}"
    if not looked.found:
        return f"no findings in {among}"
    touched = len({one.path for one in looked.found})
    return f"{len(looked.found)} {_plural('finding', len(looked.found))} in {touched} of {among}"


def _finding(one: Found, python: Version, colour: bool) -> Iterator[str]:
    bold, dim, plain = (_BOLD, _DIM, _PLAIN) if colour else ("", "", "")
    mark = (_RED if one.rule.level(python) == "error" else _YELLOW) if colour else ""
    place = f"{fmt.clean(one.path)}:{one.line}:{one.column}"
    yield f"{bold}{place}{plain}: {mark}{one.code}{plain} {one.rule.name}: {fmt.clean(one.what)}"
    if one.text:
        yield f"    {fmt.clean(one.text)}"
    yield f"    {dim}why:{plain}   {one.rule.why}"
    known = f"   {dim}(ruff: {one.rule.ruff}){plain}" if one.rule.ruff else ""
    yield f"    {dim}write:{plain} {one.rule.fix(python)}{known}"


def objects(looked: Looked) -> dict[str, Any]:
    """The whole report, for JSON."""
    return {
        "python": f"{looked.python[0]}.{looked.python[1]}",
        "files": looked.files,
        "notes": looked.notes,
        "found": [_object(one, looked.python) for one in looked.found],
    }


def _object(one: Found, python: Version) -> dict[str, Any]:
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


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
