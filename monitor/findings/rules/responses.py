"""The rule for routes whose responses fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from monitor import formatting as fmt
from monitor.findings.model import Observation
from monitor.findings.rules.figure_history import FigureHistories, FigureHistory
from monitor.findings.rules.shared import fresh

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from monitor.findings.thresholds import Thresholds
    from monitor.store.store import Store
    from monitor.store.sync_scan import FailingResponses

_NEAR = 0.7
"""Share of a threshold above which a finding is kept."""
_STALE = 15.0
"""Seconds between two scans from which on nothing is known about the time between them."""


class _First(NamedTuple):
    """The first scan in which a route had failed responses.

    `exact`: whether all responses came after `at`. They may not have if some were fine, or if nothing was read before.
    """

    at: float
    exact: bool


@dataclass(slots=True)
class FailingRoutes:
    """Groups of which most responses have status 500 and above: within the window, or as long as they are counted.

    Responses of the past alone are not enough: a route that was mended has them, too.
    """

    _errors: FigureHistories = field(default_factory=FigureHistories)
    _responses: FigureHistories = field(default_factory=FigureHistories)
    _first: dict[Hashable, _First] = field(default_factory=dict)
    _scanned: float | None = None

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """Yields one observation per group."""
        scan = fresh(store)
        if scan is None:
            return
        window = thresholds.of("responses_failing", "window")
        routes = {(one.coro, one.label): one for one in scan.responses}
        for histories in (self._errors, self._responses):
            histories.keep(set(routes))
        self._first = {key: self._first.get(key) or self._first_of(one, scan.at) for key, one in routes.items()}
        self._scanned = scan.at
        for key, one in routes.items():
            errors, responses = self._errors.of(key), self._responses.of(key)
            errors.add(scan.at, one.errors, window)
            responses.add(scan.at, one.responses, window)
            observation = _observation(one, self._first[key], errors, responses, thresholds)
            if observation is not None:
                yield observation

    def _first_of(self, one: FailingResponses, now: float) -> _First:
        if self._scanned is None or now - self._scanned > _STALE:
            return _First(now, exact=False)
        return _First(self._scanned, exact=one.errors == one.responses)


def _observation(
    one: FailingResponses, first: _First, errors: FigureHistory, responses: FigureHistory, thresholds: Thresholds
) -> Observation | None:
    least, share = (thresholds.of("responses_failing", key) for key in ("least", "share"))
    (begin, before), (end, _) = errors.values[0], errors.values[-1]
    failed, all_of_them, exact = one.errors - before, one.responses - responses.values[0][1], True
    if failed < 1 or failed < _NEAR * share * all_of_them:
        return None
    if one.errors >= share * one.responses:
        failed, all_of_them, begin, exact = one.errors, one.responses, first.at, first.exact
    if failed < least * _NEAR:
        return None
    name = one.label or one.coro
    count = f"{failed:.0f} of {fmt.several(round(all_of_them), 'response')}"
    count += f" in {fmt.age(end - begin)}" if exact else ""
    return Observation(
        "responses_failing",
        (one.coro, one.label),
        f"{name}: {count} had status 500 or above ({fmt.percent(failed / all_of_them)})",
        strong=failed >= least and failed >= share * all_of_them,
        at_once=True,
        name=name,
        evidence={
            "group": name,
            "coro": one.coro,
            "label": one.label or None,
            "errors": round(failed),
            "responses": round(all_of_them),
            "share": round(failed / all_of_them, 3),
        },
        since=begin,
    )
