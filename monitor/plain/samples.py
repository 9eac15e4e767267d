"""Output of `looptop samples` for people: the list, the results of a check, a source with its marked lines."""

from __future__ import annotations

import os
from collections import Counter
from textwrap import wrap
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.plain.sample_objects import fixes_of
from sample_apps.catalogue import TOPICS, marked_lines, markers
from sample_apps.vocabulary import NotSeenYet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.samples.check import Result
    from monitor.samples.judge import Verdict
    from sample_apps.catalogue import Sample

_BOLD, _RED, _GREEN, _YELLOW, _PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"
_WORD = {"met": ("met", _GREEN), "missed": ("MISSED", _RED), "not seen yet": ("not yet", _YELLOW)}
_INDENT = 11


def listing(listed: Sequence[Sample], width: int, colour: bool) -> list[str]:
    """The lines of `looptop samples list`, by topic, each with what it shows and its counterpart."""
    fixes = fixes_of(listed)
    column = max((len(sample.name) for sample in listed), default=0) + 4
    lines: list[str] = []
    for topic, title in TOPICS.items():
        here = [sample for sample in listed if sample.topic == topic]
        if here:
            lines += [""] * bool(lines) + [_tinted(title, _BOLD, colour)]
        for sample in here:
            text = " ".join(filter(None, (sample.sentence, _pair(sample, fixes))))
            name = f"  {sample.name}".ljust(column)
            first, *rest = wrap(text, max(width, 60), initial_indent=name, subsequent_indent=" " * column)
            lines += [first.replace(sample.name, _tinted(sample.name, _GREEN, colour), 1), *rest]
    return lines


def _pair(sample: Sample, fixes: dict[str, list[str]]) -> str:
    if sample.fix is not None:
        return f"(fix: {sample.fix})"
    wrong = fixes.get(sample.name, [])
    return f"(fixes {', '.join(wrong)})" if wrong else ""


# -- results of a check --


def result_lines(result: Result, width: int, colour: bool) -> list[str]:
    """One sample of `looptop samples check`: a heading, then a line for each expectation."""
    counts = result.counts
    sample = result.sample
    if result.skipped:
        return [_heading(sample.name, "skipped", _YELLOW, colour), *_wrapped("", result.skipped, width)]
    word, tint = ("ok", _GREEN) if result.good else ("MISSED", _RED)
    summary_line = f"{counts['met']} met"
    summary_line += f", {counts['missed']} missed" if counts["missed"] else ""
    summary_line += f", {counts['not seen yet']} not seen yet" if counts["not seen yet"] else ""
    summary_line += f" (run {result.attempts})" if result.attempts > 1 else ""
    lines = [f"{_heading(sample.name, word, tint, colour)}  {summary_line}"]
    if result.trouble:
        lines += _wrapped("", f"trouble: {result.trouble}", width)
    for verdict in result.verdicts:
        lines += _verdict_lines(verdict, width, colour)
    if result.unlike is False:
        lines += _wrapped("", f"{sample.fix} looks the same: nothing that is expected here is missed there", width)
    return lines


def _heading(name: str, word: str, tint: str, colour: bool) -> str:
    return f"{_tinted(f'{word:<8}', tint, colour)} {_tinted(name, _BOLD, colour)}"


def _tinted(text: str, tint: str, colour: bool) -> str:
    return f"{tint}{text}{_PLAIN}" if colour else text


def _verdict_lines(verdict: Verdict, width: int, colour: bool) -> list[str]:
    word, tint = _WORD[verdict.outcome]
    text = f"{verdict.expectation.sentence}: {verdict.seen}" if verdict.seen else verdict.expectation.sentence
    if verdict.outcome == "missed":
        text = f"{verdict.expectation.sentence}; seen instead: {verdict.seen}"
    if verdict.because:
        text += f"; it is seen by now: {verdict.because}" if verdict.outcome == "met" else f"; {verdict.because}"
    first, *rest = _wrapped(word, text, width)
    return [first.replace(word, _tinted(word, tint, colour), 1), *rest]


def _wrapped(word: str, text: str, width: int) -> list[str]:
    first = f"  {word:<{_INDENT - 2}}"
    room = max(width, 40)
    return wrap(fmt.clean(text), room, initial_indent=first, subsequent_indent=" " * _INDENT) or [first]


def summary(results: Sequence[Result]) -> str:
    """The last line of a check."""
    counts: Counter[str] = sum((result.counts for result in results), Counter())
    missed = [result.sample.name for result in results if not result.good]
    skipped = sum(bool(result.skipped) for result in results)
    samples = fmt.several(len(results), "sample")
    summary_line = f"{samples}: {counts['met']} expectations met, {counts['missed']} missed"
    summary_line += f", {counts['not seen yet']} not seen yet" if counts["not seen yet"] else ""
    summary_line += f", {fmt.several(skipped, 'sample')} skipped" if skipped else ""
    return summary_line + (f"; look at {', '.join(missed)}{_busy()}" if missed else "")


def _busy() -> str:
    """A hint that the machine is busy, if that may explain missed expectations."""
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0]
    return f" (the machine is busy, a load of {load:.0f} on {cores} cores: try --jobs 1)" if load > 3 * cores else ""


# -- the source --


def source(sample: Sample, colour: bool) -> list[str]:
    """The source of a sample with its marked lines highlighted, then the expectations for each."""
    marked = {number: marker for marker, number in marked_lines(sample.path).items()}
    lines = []
    for number, text in enumerate(sample.path.read_text(encoding="utf-8").splitlines(), 1):
        line = f"{'▶' if number in marked else ' '} {number:4}  {text}".rstrip()
        lines.append(_tinted(line, _BOLD + _YELLOW, colour) if number in marked else line)
    lines.append("")
    numbers = {marker: number for number, marker in marked.items()}
    for expectation in sample.expectations:
        inner = expectation.what if isinstance(expectation, NotSeenYet) else expectation
        at = [] if isinstance(inner, str) else [f"line {numbers[marker]}" for _, marker in markers(inner)]
        gap = f" (not seen yet: {expectation.because})" if isinstance(expectation, NotSeenYet) else ""
        where = f" ({', '.join(at)})" if at else ""
        lines.append(f"expected: {expectation.sentence}{where}{gap}")
    return lines
