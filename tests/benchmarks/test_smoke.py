"""A regression of the hot path is seen the same day: a few rounds, and limits far above what is measured."""

from __future__ import annotations

import sys

import pytest

from benchmarks import crowds, report, turns
from benchmarks.works import WORKS
from probes.hooks import backend

SHORT = turns.Setup(rounds=3, crews=1, slice_s=0.03)
LIMITS = {
    "tasks": {turns.UNWATCHED: 1.8, turns.WATCHED: 1.8, turns.PURE: 4.5},
    "steps": {turns.UNWATCHED: 1.3, turns.WATCHED: 1.15, turns.PURE: 2.2},
}
"""Far above what docs/cost.md says, far below what a slip costs."""

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="cores are pinned by Linux means")


@needs_linux
@pytest.mark.parametrize("name", LIMITS)
def test_watching_stays_within_generous_ratios(name: str) -> None:
    for attempt in range(6):
        result, python = turns.measure(WORKS[name], SHORT)
        found = {mode: result.quartiles(mode)[1] for mode in (turns.UNWATCHED, turns.WATCHED, turns.PURE)}
        if backend.native is None:
            found[turns.WATCHED] = 0.0  # these are hooks in Python too
        if all(found[mode] <= limit for mode, limit in LIMITS[name].items()):
            break
        assert attempt < 5, f"{python} {name}: {found}"
    assert len(result.per_round[turns.CONTROL]) == SHORT.rounds


@needs_linux
def test_first_screen_comes_in_pieces() -> None:
    table = crowds.first_screen(SHORT, crowds.Sizes(first=3000))
    facts = dict(table.rows)
    assert int(facts["largest frame"].split()[0].replace(",", "")) <= 1 << 20
    assert set(facts) >= {"first tick", "all tasks"}


def test_the_page_says_what_is_not_met() -> None:
    good, bad = turns.Ratios(WORKS["queue"], 100), turns.Ratios(WORKS["steps"], 100)
    for _ in range(4):
        good.add({turns.PLAIN: 1.0, turns.CONTROL: 1.0, turns.UNWATCHED: 0.99, turns.WATCHED: 0.9, turns.PURE: 1.2})
        bad.add({turns.PLAIN: 1.0, turns.CONTROL: 1.0, turns.UNWATCHED: 1.0, turns.WATCHED: 1.5, turns.PURE: 1.2})
    results = [report.Result("3.11.7", "asyncio", [good, bad])]
    page = report.markdown(results)
    assert "Python 3.11.7: bare steps, `sleep(0)`, one viewer: 1.500 instead of 1" in page
    assert "≤ 1.02: met" in page
    assert "queue" not in "".join(report.missed(results))
    assert report.as_json(results)["results"][0]["works"][0]["rounds"]["always on"] == [0.99] * 4
    assert "not met" in report.text(results)


def test_a_round_compares_with_both_plain_workers() -> None:
    ratios = turns.Ratios(WORKS["steps"], 100)
    ratios.add({turns.PLAIN: 1.0, turns.CONTROL: 1.2, turns.UNWATCHED: 1.1, turns.WATCHED: 2.2})
    assert ratios.per_round == {"control": [1.2], "always on": [1.1 / 1.1], "one viewer": [2.2 / 1.1]}
