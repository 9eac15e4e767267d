"""The history a probe remembers from before this viewer: time series of the process and of each loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from monitor.protocol import frames
from monitor.protocol.rows import SECOND, us
from monitor.store.series import LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable

FINE, COARSE = 1.0, 10.0
"""Seconds per row, of the last minutes and of the last hours."""
ROWS = {FINE: 600, COARSE: 2160}
MOST = 100
"""Limit of series; a probe remembers 32 loops and the process."""
PROCESS = 0


class Figures(msgspec.Struct, frozen=True):
    """Columns of equal length; -1 stands for an unknown figure."""

    start: float  # Unix time of the start of the first row
    step: float  # seconds per row
    columns: dict[str, tuple[int, ...]]

    @property
    def rows(self) -> int:
        """Rows in each column; 0 without columns."""
        return len(next(iter(self.columns.values()), ()))

    @property
    def end(self) -> float:
        """Unix time of the end of the last row."""
        return self.start + self.rows * self.step

    def fold(self, column: str, begin: float, cells: int, seconds: float, by: Callable[..., int]) -> list[int | None]:
        """Return a column resampled to cells of equal length from a time on; None for cells without data."""
        values = self.columns.get(column, ())
        found: list[int | None] = []
        for cell in range(cells):
            first = round((begin + cell * seconds - self.start) / self.step)
            last = max(round((begin + (cell + 1) * seconds - self.start) / self.step), first + 1)
            known = [value for value in values[max(first, 0) : max(last, 0)] if value >= 0]
            found.append(by(known) if known else None)
        return found


def lags(rows: frames.HistoryRows | Figures | None) -> list[float]:
    """The lags of a loop (s), for its sparkline."""
    return _known(rows, "lag", SECOND)


def utilizations(rows: frames.HistoryRows | Figures | None) -> list[float]:
    """The utilizations of a loop (0..1), for its sparkline."""
    return _known(rows, "utilization", 1e-3)


def _known(rows: frames.HistoryRows | Figures | None, column: str, unit: float) -> list[float]:
    values = () if rows is None else rows.columns.get(column, ())
    return [value * unit for value in values[-LENGTH:] if value >= 0]


class Past:
    """Series by loop (PROCESS: the whole process) and step. Replaced, never modified, so a copy is cheap."""

    def __init__(self) -> None:
        self._figures: dict[tuple[int, float], Figures] = {}

    def copy(self) -> Past:
        """Return an independent copy."""
        twin = Past()
        twin._figures = dict(self._figures)
        return twin

    def of(self, loop: int, step: float) -> Figures | None:
        """Return the series of a loop or of the process."""
        return self._figures.get((loop, step))

    def loops(self) -> list[int]:
        """The loops that have a series."""
        return sorted({loop for loop, _ in self._figures if loop != PROCESS})

    def as_rows(self) -> list[frames.HistoryRows]:
        """All figures, as the probe sends them."""
        return [
            frames.HistoryRows(
                loop=loop,
                step=us(step),
                from_=us(figures.start),
                columns={name: list(values) for name, values in figures.columns.items()},
            )
            for (loop, step), figures in self._figures.items()
        ]

    def apply(self, frame: frames.HistoryRows) -> None:
        """Append rows that continue the existing ones; after a gap, start over."""
        step, start = frame.step * SECOND, frame.from_ * SECOND
        key = frame.loop, step
        before = self._figures.get(key)
        columns = {name: tuple(values) for name, values in frame.columns.items()}
        if step not in ROWS or len({len(column) for column in columns.values()}) != 1:
            return
        if before is not None and before.columns.keys() == columns.keys():
            kept = round((start - before.start) / step)
            if 0 < kept <= before.rows:
                columns = {name: before.columns[name][:kept] + column for name, column in columns.items()}
                start = before.start
        elif before is None and len(self._figures) >= 2 * MOST:
            return
        over = max(len(next(iter(columns.values()))) - ROWS[step], 0)
        columns = {name: column[over:] for name, column in columns.items()}
        self._figures[key] = Figures(start + over * step, step, columns)
