"""The header: three lines that are always there, each figure at a fixed place. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.sources.base import Status
from monitor.store.series import Series
from monitor.store.store import Store
from monitor.tui.base.paint import Part, fit, safe, spread, width
from monitor.tui.base.theme import STATE_STYLES, delay_style, load_style
from monitor.tui.widgets import spark

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Sequence

STATUS = {
    "connecting": ("◌ connecting", "warn"),
    "connected": ("● connected", "good"),
    "silent": ("◌ silent", "alarm"),
    "lost": ("✗ connection lost", "alarm"),
    "ended": ("■ ended", "alarm"),
    "replay": ("▸ replay", "accent"),
}
WIDE = 120
LONG_NAME, SHORT_NAME = 40, 12
"""Most cells of the recording's file name."""
LONG_WORST, SHORT_WORST = 40, 24
"""Most cells of the worst finding."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What the header shows in addition to the store."""

    status: Status
    paused_for: float | None  # seconds
    slow: float  # threshold of slow callbacks
    origins: int
    replay: str = ""  # the recording that is replayed, and its time
    recording: tuple[str, str] | None = None  # the recording in progress: file and size
    findings: int = 0
    worst: str = ""  # title of the worst of them
    broken: int = 0  # findings of the bad kind among them
    keeps_locals: bool = False  # local variables of failing tasks


def header(store: Store, situation: Situation, cells: int) -> list[tuple[Part, ...]]:
    """Builds the three lines."""
    wide = cells >= WIDE
    who, connection = _who(store, wide), _connection(store, situation)
    figures = _figures(store, wide)
    alerts = _alerts(store, situation, wide)
    below, alerts = _take(alerts, cells - _cells(figures) - 1)
    above, later = _take(alerts, cells - _cells(who) - _cells(connection) - 6)
    if later and wide:  # alerts matter more than what never changes
        who = _who(store, False)
        above, later = _take(alerts, cells - _cells(who) - _cells(connection) - 6)
    if later:
        above = (*above, (f"+{len(later)} ", "warn"))
    return [
        spread(who, (*above, *connection), cells),
        spread(tuple(_health(store, situation.slow, _spark_cells(cells, wide), wide)), _counts(store, wide), cells),
        spread(figures, below, cells),
    ]


def _cells(parts: Sequence[Part]) -> int:
    return sum(width(text) for text, _ in parts)


def _take(alerts: list[Part], room: int) -> tuple[tuple[Part, ...], list[Part]]:
    """Splits alerts into those that fit and the rest."""
    taken: list[Part] = []
    while alerts and _cells(taken) + width(alerts[0][0]) + 2 <= room:
        taken += [alerts[0], ("  ", "text")]
        alerts = alerts[1:]
    return tuple(taken), alerts


def _who(store: Store, wide: bool) -> tuple[Part, ...]:
    session = store.session
    if session is None:
        return ((" looptop", "heading"), ("  top for the event loop", "dim"))
    kinds = sorted({loop.kind for loop in store.loops.values()}) or ["no loop yet"]
    number = len(store.loops)
    loop = "+".join(kinds) if number < 2 else f"{number} loops {'+'.join(kinds)}"
    parts: list[Part] = [
        (f" {session.name or session.program}", "heading"),
        (f"  pid {session.pid}", "text"),
        (f"  Python {session.python}  {loop}", "dim"),
    ]
    if wide:
        host = f"  on {session.host}" if session.host else ""
        parts.append((f"  {session.program}" if session.name and session.program != session.name else "", "faint"))
        parts.append((f"{host}  hooks: {session.hooks}", "faint"))
    return tuple(parts)


def _connection(store: Store, situation: Situation) -> tuple[Part, ...]:
    parts: list[Part] = []
    if situation.paused_for is not None:
        parts += [(f" PAUSED {fmt.age(situation.paused_for)} ", "chip"), (" ", "text")]
    text, style = STATUS.get(situation.status.state, (situation.status.state, "warn"))
    if situation.replay:
        text = situation.replay
    if situation.status.state == "connected" and store.read_only:
        text, style = "○ read-only", "accent"
    parts.append((f" {text} " if style == "alarm" else f"{text} ", style))
    return tuple(parts)


def _worst(series: Sequence[Series]) -> list[float]:
    """The maximum over several loops for each of the newest moments."""
    longest = [one.last(64) for one in series]
    number = max(map(len, longest), default=0)
    padded = [[0.0] * (number - len(one)) + one for one in longest]
    return [max(values) for values in zip(*padded, strict=True)]


def _health(store: Store, slow: float, cells: int, wide: bool) -> list[Part]:
    """Lag and utilization of the worst loop; while a loop is blocked, the block replaces the lag."""
    loops = list(store.loops.values())
    lags, loads = _worst([loop.lags for loop in loops]), _worst([loop.utilizations for loop in loops])
    lag = max((loop.lag for loop in loops if loop.lags.values), default=None)
    known = [loop.utilization for loop in loops if loop.utilization is not None]
    load = max(known, default=None)
    worst = max(loops, key=lambda loop: loop.blocked, default=None)
    blocked = worst.blocked if worst is not None else 0.0
    figure: Part = (f" {fmt.duration(lag):<6}", "text" if lag is None else delay_style(lag, slow))
    lag_cells = cells
    if worst is not None and blocked >= slow / 2:
        text = fmt.bound(blocked, worst.block is not None and worst.block.at_least)
        figure = (f" BLOCKED {text:<6}", "alarm")
        lag_cells = max(cells - 8 - max(len(text) - 6, 0), 0)
    return [
        (" loop lag " if wide else " lag ", "dim"),
        *_coloured(lags, lag_cells, spark.lag_share, lambda value: delay_style(value, slow)),
        figure,
        ("  utilization " if wide else " util ", "dim"),
        *_coloured(loads, cells, lambda value: value, load_style),
        (f" {fmt.percent(load):<4}", load_style(load)),
    ]


def _spark_cells(cells: int, wide: bool) -> int:
    """The width of each of the two sparklines."""
    if wide:
        return min(max((cells - 98) // 2, 10), 40)
    return max(11 - max(80 - cells, 0) // 2, 0)


def _coloured(
    values: Sequence[float], cells: int, share: Callable[[float], float], style: Callable[[float], str]
) -> list[Part]:
    """A sparkline with each cell in the style of its value; neighbours of one style are merged."""
    shown = values[-cells:] if cells else []
    parts: list[Part] = [(" " * (cells - len(shown)), "text")]
    for value in shown:
        block, name = spark.BLOCKS[spark.level(share(value))], style(value)
        name = "bar" if name in ("text", "faint") else name
        if parts[-1][1] == name:
            parts[-1] = (parts[-1][0] + block, name)
        else:
            parts.append((block, name))
    return parts


def _counts(store: Store, wide: bool) -> tuple[Part, ...]:
    counts: Counter[str] = store.tasks.states()
    parts: list[Part] = [("tasks ", "dim"), (fmt.count(len(store.tasks)), "strong")]
    for state, glyph in (("running", "▶"), ("scheduled", "▷"), ("waiting", "·")):
        number = counts.get(state, 0)
        name = STATE_STYLES[state] if number else "faint"
        parts.append((f"  {glyph} {number:>2} {state}" if wide else f" {glyph}{number:<2}", name))
    parts.append((" ", "text"))
    return tuple(parts)


def _figures(store: Store, wide: bool) -> tuple[Part, ...]:
    process, probe = store.process, store.probe
    parts: list[Part] = [
        (" steps ", "dim"),
        (f"{fmt.rate(store.steps_per_s()) + '/s':<7}", "text"),
        (" rss ", "dim"),
        (f"{fmt.size(process.rss):<8}", "text"),
        (" cpu ", "dim"),
        (f"{fmt.percent(process.cpu):<5}", "text"),
        (" probe ", "dim"),
        (f"{fmt.percent(probe.share):<5}", "warn" if (probe.share or 0) >= 0.05 else "text"),
    ]
    if wide:
        ready = _sum([loop.ready for loop in store.loops.values()])
        timers = _sum([loop.timers for loop in store.loops.values()])
        for title, number in (("ready", ready), ("timers", timers), ("threads", process.threads), ("fds", process.fds)):
            parts += [(f" {title} ", "dim"), (f"{fmt.count(number):<4}", "text")]
    return tuple(parts)


def _sum(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _alerts(store: Store, situation: Situation, wide: bool) -> list[Part]:
    """Data that was lost, is still loading, or costs extra; worst first."""
    probe = store.probe
    alerts: list[Part] = []
    if situation.recording is not None:
        name, facts = situation.recording
        most = LONG_NAME if wide else SHORT_NAME
        name = safe(name) if width(safe(name)) <= most else fit(name, most)
        alerts.append((f"● {'REC ' if wide else ''}{name} {facts}", "bad"))
    if situation.findings:
        more = f" +{situation.findings - 1}" if situation.findings > 1 else ""
        most = LONG_WORST if wide else min(SHORT_WORST, SHORT_WORST + 1 - len(more))  # or there is no room for it
        text = situation.worst if width(situation.worst) <= most else fit(situation.worst, most)
        alerts.append((f"{'✗' if situation.broken else '!'} {text}{more}", "bad" if situation.broken else "warn"))
    if probe.off:
        alerts.append((f"{fmt.several(len(probe.off), 'hook')} off", "bad"))
    lost = probe.dropped - probe.unnamed
    if lost > 0:
        when = "" if probe.dropped_at is None else f", {fmt.age(max(store.now - probe.dropped_at, 0.0))} ago"
        alerts.append((f"dropped {fmt.count(lost)}{when if wide else ''}", "bad"))
    missed = store.missed_events
    if missed:
        alerts.append((f"missed {fmt.several(missed, 'event') if wide else fmt.count(missed)}", "bad"))
    if store.left:
        alerts.append((f"{fmt.count(store.left)} {'tasks ' if wide else ''}to load", "accent"))
    if situation.origins:
        alerts.append((f"origins on ({fmt.several(situation.origins, 'frame')})" if wide else "origins on", "warn"))
    if situation.keeps_locals:
        alerts.append(("locals of failures kept" if wide else "locals on", "warn"))
    if wide and probe.unnamed:
        alerts.append((f"{fmt.count(probe.unnamed)} ends without a name", "dim"))
    if probe.viewers > 1:
        alerts.append((f"{probe.viewers} viewers", "dim"))
    return alerts
