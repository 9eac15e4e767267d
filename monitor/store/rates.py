"""Applies the figures of loops, sites, process and probe: rows have absolute values, rates are computed here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.protocol.rows import SECOND
from monitor.store import convert

if TYPE_CHECKING:
    from monitor.protocol import frames
    from monitor.protocol.rows import LoopRow, SiteRow
    from monitor.store.model import Loop, Probe, Process, SiteStats
    from monitor.store.tables import Tables


def apply_loop_row(loop: Loop, row: LoopRow, now: float, elapsed: float) -> None:
    """Apply one row of a tick. `elapsed`: seconds since the previous tick, 0.0 for the first."""
    seconds, steps = row.busy * SECOND, row.steps
    if loop.busy is not None and elapsed > 0 and seconds >= loop.busy:
        loop.utilizations.add(min((seconds - loop.busy) / elapsed, 1.0))
    window = now - loop.measured
    if loop.busy is None or seconds < loop.measured_busy:
        loop.measured, loop.measured_busy, loop.measured_steps = now, seconds, steps
    elif window >= 1.0 or (loop.utilization is None and window > 0.05):
        loop.utilization = min((seconds - loop.measured_busy) / window, 1.0)
        loop.steps_per_s = max(steps - loop.measured_steps, 0) / window
        if window >= 1.0:
            loop.measured, loop.measured_busy, loop.measured_steps = now, seconds, steps
    loop.lag = row.lag * SECOND
    loop.lags.add(loop.lag)
    loop.busy, loop.ready, loop.timers, loop.steps = seconds, row.ready, row.timers, steps
    loop.running, loop.blocked = row.running, row.blocked * SECOND


def apply_site_row(stats: SiteStats, row: SiteRow) -> None:
    """Apply one row of a tick. `measure_site` computes the rates when they are read."""
    stats.born, stats.ended, stats.failed, stats.cancelled = row.born, row.ended, row.failed, row.cancelled
    stats.busy, stats.steps = row.busy * SECOND, row.steps


def measure_site(stats: SiteStats, now: float) -> None:
    """Compute births and deaths per second, over at least one second."""
    elapsed = now - stats.measured
    if elapsed >= 1.0:
        stats.births_per_s = (stats.born - stats.measured_born) / elapsed
        stats.deaths_per_s = (stats.ended - stats.measured_ended) / elapsed
        stats.measured, stats.measured_born, stats.measured_ended = now, stats.born, stats.ended


def process_after(process: Process, tick: frames.Process, now: float, tables: Tables) -> Process:
    """Return the process after a tick; `cpu` covers the time since the previous tick."""
    share, total, measured = process.cpu, process.cpu_total, process.measured
    if tick.cpu is not None:
        before, total = total, tick.cpu * SECOND
        if before is not None and now > measured:
            share = max(total - before, 0.0) / (now - measured)
        measured = now
    return convert.PROCESS_FACTS.decode(tick, tables, cpu=share, cpu_total=total, measured=measured)


def probe_after(probe: Probe, tick: frames.Probe, now: float, tables: Tables) -> Probe:
    """Return the probe after a tick; `share` covers the time since the previous tick."""
    share, total = probe.share, (tick.cpu + tick.hooks) * SECOND
    if probe.cpu_total is not None and now > probe.measured:
        share = max(total - probe.cpu_total, 0.0) / (now - probe.measured)
    return convert.PROBE_FACTS.decode(tick, tables, share=share, cpu_total=total, measured=now)
