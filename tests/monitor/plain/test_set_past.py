"""What is past in a set: each program's clock counts, since a host may have another time."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from monitor.findings.thresholds import Thresholds
from monitor.plain.many_stream import _Watched
from monitor.store.store import Store


@pytest.mark.parametrize("skew", [-7200.0, 0.0, 7200.0])
def test_events_from_before_the_command_are_left_out_whatever_the_clock_there(skew: float) -> None:
    worker: Any = SimpleNamespace(pid=1, slot=0, store=Store())
    worker.store.session = SimpleNamespace(capabilities=["history"])
    watched = _Watched(worker, Thresholds(), time.monotonic() - 3.0, past=False)
    watched.take([])  # the first frames, three seconds after the command began
    worker.store.watched_since = there = time.time() + skew
    events: list[Any] = [{"type": "slow_callback", "time": there + late} for late in (-600.0, -2.0, 1.0)]
    assert [one["time"] - there for one in watched._own(events)] == pytest.approx([-2.0, 1.0])
