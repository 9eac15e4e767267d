"""Figures from before a viewer: rows that go on, gaps, bounds, and what they fill."""

from __future__ import annotations

import pytest

from monitor.errors import LooptopError
from monitor.protocol import frames
from monitor.protocol.rows import LoopStaticRow
from monitor.store import past
from monitor.store.store import Store


def rows(start: float, *values: int, loop: int = 0, step: float = 1.0, column: str = "rss") -> frames.HistoryRows:
    return frames.HistoryRows(
        loop=loop, step=round(step * 1e6), from_=round(start * 1e6), columns={column: list(values)}
    )


def test_rows_go_on_replace_and_begin_anew() -> None:
    known = past.Past()
    known.apply(rows(100, 1, 2, 3))
    before = known.copy()
    known.apply(rows(103, 4))
    figures = known.of(past.PROCESS, past.FINE)
    assert (
        figures is not None and figures.columns == {"rss": (1, 2, 3, 4)} and (figures.start, figures.end) == (100, 104)
    )
    known.apply(rows(102, 9, 9))  # a reconnect: what was sent before comes again
    assert known.of(0, past.FINE).columns == {"rss": (1, 2, 9, 9)}  # type: ignore[union-attr]
    known.apply(rows(500, 5))
    assert known.of(0, past.FINE).start == 500  # type: ignore[union-attr]
    assert before.of(0, past.FINE).columns == {"rss": (1, 2, 3)}  # type: ignore[union-attr]


def test_only_the_newest_rows_are_kept() -> None:
    known = past.Past()
    for start in range(0, 1200, 300):
        known.apply(rows(start, *range(start, start + 300)))
    figures = known.of(0, past.FINE)
    assert figures is not None and figures.rows == 600 and figures.start == 600 and figures.columns["rss"][0] == 600


def test_a_column_is_folded_to_cells() -> None:
    figures = past.Figures(100.0, 1.0, {"lag": (1, 5, -1, 3)})
    assert figures.fold("lag", 98.0, 4, 2.0, max) == [None, 5, 3, None]
    assert figures.fold("lag", 100.0, 2, 1.0, max) == [1, 5]
    assert figures.fold("none", 98.0, 2, 2.0, max) == [None, None]


def test_the_past_of_a_loop_fills_its_sparklines() -> None:
    store = Store()
    store.apply(frames.Static(loops=[LoopStaticRow(1, "asyncio", 1, "MainThread")]))
    store.loops[1].lags.add(0.5)
    store.apply(rows(100, 1000, -1, 2000, loop=1, column="lag"))
    assert list(store.loops[1].lags.values) == [0.001, 0.002, 0.5]


def test_a_history_frame_is_bounded() -> None:
    line = b'{"type":"history","loop":0,"step":1000000,"from":1,"columns":{"rss":[' + b"1," * 5000 + b"1]}}"
    with pytest.raises(LooptopError, match="broken history frame"):
        frames.decode(line)
