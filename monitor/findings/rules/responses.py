"""The rule for routes whose responses fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.findings.model import Observation
from monitor.findings.rules.figure_history import FigureHistories, FigureHistory
from monitor.findings.rules.shared import fresh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.findings.thresholds import Thresholds
    from monitor.store.store import Store
    from monitor.store.sync_scan import FailingResponses

_NEAR = 0.7
"""Share of a threshold above which a finding is kept."""


@dataclass(slots=True)
class FailingRoutes:
    """Groups of which most responses have status 500 and above: within the window, or as long as they are counted.

    Responses of the past alone are not enough: a route that was mended has them, too.
    """

    _errors: FigureHistories = field(default_factory=FigureHistories)
    _responses: FigureHistories = field(default_factory=FigureHistories)

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """Yields one observation per group."""
        scan = fresh(store)
        if scan is None:
            return
        window = thresholds.of("responses_failing", "window")
        for histories in (self._errors, self._responses):
            histories.keep({(one.coro, one.label) for one in scan.responses})
        for one in scan.responses:
            errors, responses = self._errors.of((one.coro, one.label)), self._responses.of((one.coro, one.label))
            errors.add(scan.at, one.errors, window)
            responses.add(scan.at, one.responses, window)
            observation = _observation(one, errors, responses, thresholds)
            if observation is not None:
                yield observation


def _observation(
    one: FailingResponses, errors: FigureHistory, responses: FigureHistory, thresholds: Thresholds
) -> Observation | None:
    least, share = (thresholds.of("responses_failing", key) for key in ("least", "share"))
    (begin, before), (end, _) = errors.values[0], errors.values[-1]
    failed, all_of_them = one.errors - before, one.responses - responses.values[0][1]
    if failed < 1 or failed < _NEAR * share * all_of_them:
        return None
    if one.errors >= share * one.responses:
        failed, all_of_them, begin = one.errors, one.responses, end - one.counted
    if failed < least * _NEAR:
        return None
    name = one.label or one.coro
    count = f"{failed:.0f} of {fmt.several(round(all_of_them), 'response')} in {fmt.age(end - begin)}"
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
