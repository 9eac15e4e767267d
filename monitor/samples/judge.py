"""The verdict on a sample: which of its expectations were met or missed, and which cannot be decided yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from monitor.samples.case import Case, Lines
from monitor.samples.expectations import check
from sample_apps import vocabulary as words
from sample_apps.catalogue import marked_lines

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.samples.observation import Observation
    from sample_apps.catalogue import Sample

Outcome = Literal["met", "missed", "not seen yet"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one expectation."""

    expectation: words.Expectation
    outcome: Outcome
    seen: str  # in words
    because: str = ""  # reason for "not seen yet"


def judge(sample: Sample, seen: Observation, path: Path | None = None) -> list[Verdict]:
    """Judge every expectation of a sample. `path` is its source if that is a copy."""
    path = path or sample.path
    lines = Lines(path, marked_lines(path))
    return [_verdict(expectation, seen, lines) for expectation in sample.expectations]


def differs(wrong: Sample, seen_of_fix: Observation) -> bool:
    """Whether the fix misses any expectation of the broken sample, ignoring line numbers."""
    lines = Lines(wrong.path, {}, anywhere=True)
    verdicts = [
        _verdict(expectation, seen_of_fix, lines)
        for expectation in wrong.expectations
        if seen_of_fix.trace is not None or not isinstance(expectation, words.LateBecause)
    ]
    return any(verdict.outcome == "missed" for verdict in verdicts)


def _verdict(expectation: words.Expectation, seen: Observation, lines: Lines) -> Verdict:
    inner, because = expectation, ""
    if isinstance(expectation, words.NotSeenYet):
        if isinstance(expectation.what, str):
            return Verdict(expectation, "not seen yet", "", expectation.because)
        inner, because = expectation.what, expectation.because
    if isinstance(inner, (words.Finding, words.NoFinding)) and seen.findings is None:
        return Verdict(expectation, "not seen yet", "", because or "there are no findings yet")
    met, text = check(inner, Case(seen, lines))
    if not met and isinstance(inner, words.Finding) and inner.kind == "loop_blocked" and _was_starved(seen):
        because = because or "the machine is too busy to blame the line: most of what was slow got no processor"
    if because:
        return Verdict(expectation, "met" if met else "not seen yet", text, because)
    return Verdict(expectation, "met" if met else "missed", text)


def _was_starved(seen: Observation) -> bool:
    slow = seen.slow.values()
    return sum(one.starved for one in slow) > sum(one.duration for one in slow) / 2
