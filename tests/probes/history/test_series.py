"""The figures that the probe remembers: series of fixed size, and how ten rows become one."""

from __future__ import annotations

from probes.history import recorder
from probes.history.series import UNKNOWN, Series


def test_a_series_keeps_the_newest_rows_in_order() -> None:
    series = Series(2, 5)
    assert series.since(0) == (0, [[], []])
    for slot in range(100, 112):
        series.put(slot, [slot, -slot])
    assert series.since(0) == (107, [[107, 108, 109, 110, 111], [UNKNOWN] * 5])
    assert series.since(110) == (110, [[110, 111], [UNKNOWN] * 2])
    assert series.since(112) == (112, [[], []])
    assert series.size() == 2 * 5 * 4


def test_slots_without_a_row_are_unknown_and_a_long_gap_begins_anew() -> None:
    series = Series(1, 5)
    series.put(10, [1])
    series.put(13, [2])
    assert series.since(0) == (10, [[1, UNKNOWN, UNKNOWN, 2]])
    series.put(900, [2**40])
    assert series.since(0) == (900, [[2**31 - 1]])


def test_ten_rows_become_one() -> None:
    figures = recorder._Figures({"worst": "max", "share": "mean", "size": "last"})
    for slot in range(95, 125):
        figures.put(slot, [slot, slot, UNKNOWN if slot == 119 else slot])
    assert figures.fine.since(0)[0] == 95
    assert figures.coarse.since(0) == (9, [[99, 109, 119], [97, 104, 114], [99, 109, 118]])


def test_rows_that_come_late_share_what_happened() -> None:
    assert recorder.spread(1, 3.4, 3) == [0, 0, 1], "a third of a failure in each would be none"
    assert recorder.spread(1, 1.9, 1) == [1]
    assert recorder.spread(10, 4.0, 4) == [2, 3, 2, 3]
    assert recorder.spread(0, 2.0, 2) == [0, 0]
    assert sum(recorder.spread(61 * 5, 610.0, 61)) == 30, "the oldest rows are left out, and their part with them"
    for count in (1, 2, 7, 100):
        for seconds in (1, 2, 5, 60):
            assert sum(recorder.spread(count, seconds + 0.99, seconds)) >= 1


def test_the_whole_history_is_bounded() -> None:
    process, loop = recorder.protocol.HISTORY_PROCESS, recorder.protocol.HISTORY_LOOP
    figures = [recorder._Figures(process), *(recorder._Figures(loop) for _ in range(recorder.MOST_LOOPS))]
    assert sum(sum(recorder.ROWS.values()) * 4 * len(one._folds) for one in figures) < recorder.LIMIT
