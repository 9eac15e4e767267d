"""The soak, for a few seconds: what is remembered of a program that goes on is bounded from the start."""

from __future__ import annotations

from benchmarks import soak
from probes.history import recorder


def test_a_probe_that_remembers_does_not_grow() -> None:
    found = soak.measure(6.0)
    assert len(found) == 10 and all(figures["records"] < 200 for figures in found)
    assert 0 < found[-1]["history"] < recorder.LIMIT
    assert found[-1]["rss"] - found[4]["rss"] < 4 << 20
