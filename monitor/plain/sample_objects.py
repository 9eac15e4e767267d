"""The objects of `looptop samples --json`: the list, and the results of a check."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from typing import TYPE_CHECKING

from sample_apps.vocabulary import NotSeenYet

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitor.plain.objects import Object
    from monitor.samples.check import Result
    from sample_apps.catalogue import Sample
    from sample_apps.vocabulary import Expectation


def listing_object(listed: Sequence[Sample]) -> Object:
    """The object that `looptop samples list --json` prints."""
    fixes = fixes_of(listed)
    return {
        "samples": [
            {
                "name": sample.name,
                "topic": sample.topic,
                "sentence": sample.sentence,
                "fix": sample.fix,
                "fixes": fixes.get(sample.name, []),
                "needs": list(sample.needs),
                "python": ".".join(map(str, sample.python)),
                "file": str(sample.path),
                "expectations": [expectation_object(expectation) for expectation in sample.expectations],
            }
            for sample in listed
        ]
    }


def fixes_of(listed: Iterable[Sample]) -> dict[str, list[str]]:
    """For each sample that is a fix, the samples that it fixes."""
    found: dict[str, list[str]] = {}
    for sample in listed:
        if sample.fix is not None:
            found.setdefault(sample.fix, []).append(sample.name)
    return found


def expectation_object(expectation: Expectation) -> Object:
    """An expectation as data: type, fields and sentence."""
    if isinstance(expectation, NotSeenYet):
        what = expectation.what
        inner = {"word": None, "sentence": what} if isinstance(what, str) else expectation_object(what)
        return {**inner, "not_seen_yet": expectation.because}
    values = {field.name: getattr(expectation, field.name) for field in fields(expectation)}
    return {"word": type(expectation).__name__, "fields": values, "sentence": expectation.sentence}


def check_object(results: Sequence[Result]) -> Object:
    """The object that `looptop samples check --json` prints."""
    counts: Counter[str] = sum((result.counts for result in results), Counter())
    return {
        "good": all(result.good for result in results),
        "met": counts["met"],
        "missed": counts["missed"],
        "not_seen_yet": counts["not seen yet"],
        "samples": [_result_object(result) for result in results],
    }


def _result_object(result: Result) -> Object:
    return {
        "name": result.sample.name,
        "topic": result.sample.topic,
        "good": result.good,
        "trouble": result.trouble or None,
        "skipped": result.skipped or None,
        "unlike_its_fix": result.unlike,
        "attempts": result.attempts,
        "expectations": [
            {**expectation_object(verdict.expectation), "outcome": verdict.outcome, "seen": verdict.seen}
            for verdict in result.verdicts
        ],
    }
