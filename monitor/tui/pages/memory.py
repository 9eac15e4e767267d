"""The lines above the tables of the Memory screen: tracing and its cost, the process, the snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.store.memory_columns import signed
from monitor.tui.base.paint import Part, width

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.protocol import memory_frames
    from monitor.store.memory import Memory, MemorySnapshot
    from monitor.store.store import Store

COSTLY = 1.5
LONG_PAUSE = 0.1
"""Slowdown of steps, and pause in seconds, from which on a warning is shown."""

Parts = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class MemoryOptions:
    """The options of the Memory screen that its texts depend on."""

    view: str  # growth or objects
    group: str
    against: str
    hidden: tuple[str, ...]
    live: bool
    asking: bool
    replay: bool


def facts(store: Store, options: MemoryOptions, cells: int) -> list[Parts]:
    """Builds five lines: tracing, its cost, the process, the garbage collector, and what the table shows."""
    below = _objects(store, options) if options.view == "objects" else _look(store, options)
    lines = [_tracing(store, options), _price(store), _usage(store), _collector(store.memory.collector), below]
    return [_fitting(pieces, cells) for pieces in lines]


def _fitting(pieces: list[Parts], cells: int) -> Parts:
    """The pieces that fit, in order; only the first may be cut."""
    kept: list[Part] = []
    left = cells
    for piece in pieces:
        need = sum(width(text) for text, _ in piece)
        if need <= left or not kept:
            kept += piece
            left -= need
    return tuple(kept)


def _pair(title: str, figure: str, style: str = "text") -> Parts:
    return ((f" {title} ", "dim"), (f"{figure} ", style))


def _ago(store: Store, at: float) -> str:
    return f"{fmt.age(max(store.now - at, 0.0))} ago"


def _tracing(store: Store, options: MemoryOptions) -> list[Parts]:
    memory = store.memory
    tracing = memory.tracing
    if tracing is None:
        if memory.ended is not None:
            when = _ago(store, memory.ended.at * 1e-6)
            ended: Parts = ((f" ○ tracing stopped {when}: ", "text"), (memory.ended.why, "text"))
            return [ended, () if options.replay else (("  s starts it again", "dim"),)]
        if options.replay:
            return [((" ○ not traced at this moment", "dim"),)]
        if store.read_only:
            return [((" ○ not traced  ", "text"), ("read-only: needs a probe in the program", "dim"))]
        return [((" ○ not traced  ", "text"), ("s starts tracing; asks first and shows the cost", "dim"))]
    since = fmt.age(max(store.now - tracing.since * 1e-6, 0.0))
    kept = fmt.several(tracing.frames, "frame")
    whose: Parts = ()
    if tracing.adopted:
        whose = (("by the program itself ", "dim"),)
    elif not tracing.mine:
        whose = (("for another viewer ", "dim"),)
    return [
        ((f" ● traced for {since} ", "good"), *whose),
        ((f" {fmt.age(tracing.left * 1e-6)} left ", "warn" if tracing.left < 10_000_000 else "text"),),
        ((f" {kept} ", "text"),),
        _pair("traced", fmt.size(tracing.traced)),
        ((f"of {fmt.size(tracing.limit)} ", "dim"),),
        _pair("peak", fmt.size(tracing.peak), "dim"),
        _pair("its tables", fmt.size(tracing.overhead), "dim"),
    ]


def _price(store: Store) -> list[Parts]:
    """Steps per second and time per step, before and during tracing; the pause of the last snapshot."""
    tracing = store.memory.tracing
    if tracing is None:
        return []
    before, during, cost = tracing.before, tracing.during, store.memory.cost()
    pieces = [_pair("  steps", _change(before.steps, during.steps, lambda number: f"{fmt.rate(number)}/s"))]
    price = _pair("a step", _change(before.busy, during.busy, lambda micro: fmt.duration(micro * 1e-6)))
    if cost is not None:
        price = (*price, (f"{cost:.1f}× slower ", "warn" if cost >= COSTLY else "good"))
    pieces.append(price)
    look = store.memory.snapshot
    if tracing.pause is not None:
        pause = tracing.pause * 1e-6
        pieces.append(_pair("pause", fmt.duration(pause), "bad" if pause >= LONG_PAUSE else "text"))
        if look is not None:
            pieces.append(((f"of a snapshot {_ago(store, look.at)}", "dim"),))
    return pieces


def _change(before: float | None, during: float | None, text: Callable[[float], str]) -> str:
    """Both figures, or the known one."""
    known = [text(figure) for figure in (before, during) if figure is not None]
    return " → ".join(known) or fmt.UNKNOWN


def _usage(store: Store) -> list[Parts]:
    usage = store.memory.usage
    if usage is None:
        process = store.process
        return [_pair("rss", fmt.size(process.rss)), _pair("threads", fmt.count(process.threads))]
    pieces = [
        _pair("rss", fmt.size(usage.rss)),
        _pair("uss", fmt.size(usage.uss)),
        _pair("threads", fmt.count(usage.threads)),
    ]
    if usage.fds is not None:
        kinds = sorted(usage.fds.items(), key=lambda kind: -kind[1])
        pieces.append(_pair("fds", f"{fmt.count(sum(usage.fds.values()))}{':' if kinds else ''}"))
        pieces += [((f"{number} {kind} ", "dim"),) for kind, number in kinds]
    if usage.switches is not None:
        waited, forced = usage.switches
        pieces.append((*_pair("switches", f"{fmt.count(waited + forced)}:"), (f"{fmt.count(forced)} forced ", "dim")))
    return pieces


def _collector(collector: memory_frames.Collector | None) -> list[Parts]:
    if collector is None:
        return [((" gc ", "dim"), ("–", "dim"))]
    runs = collector.runs
    longest = collector.longest * 1e-6
    pieces = [
        _pair("gc", f"{'' if collector.enabled else 'off  '}{sum(runs)} runs"),
        ((f"{'/'.join(str(number) for number in runs)} ", "dim"),),
        _pair("in all", fmt.duration(collector.time * 1e-6)),
        _pair("longest", fmt.duration(longest), "bad" if longest >= LONG_PAUSE else "text"),
        _pair("freed", fmt.count(collector.collected)),
    ]
    if collector.uncollectable:
        pieces.append(_pair("uncollectable", fmt.count(collector.uncollectable), "warn"))
    return [*pieces, (("since this screen opened", "faint"),)]


def _look(store: Store, options: MemoryOptions) -> list[Parts]:
    look = store.memory.snapshots.get(options.group)
    names = {"lineno": "lines", "filename": "files", "traceback": "tracebacks"}
    what = "last snapshot" if options.against == "last" else "baseline"
    pieces: list[Parts] = [((f" {names[options.group]} ", "heading"), (f" since {what} ", "text"))]
    sign = "◌" if options.asking else "●" if options.live else "○"
    asks = store.memory.tracing is not None and not options.replay
    state: Parts = ((f" {sign} {'auto' if options.live else 'manual'} ", "accent"),) if asks else ()
    if look is None:
        return [*pieces, state]
    hidden = f" {fmt.size(look.hidden[0])}" if look.hidden[0] else ""
    pieces += [*_total(store, look), state, ((f" {', '.join(options.hidden) or 'nothing'} hidden{hidden} ", "dim"),)]
    if look.found > len(look.rows):
        pieces.append(((f" {look.found - len(look.rows)} more", "dim"),))
    return pieces


def _total(store: Store, look: MemorySnapshot) -> list[Parts]:
    if look.against_at is None:
        return [(("none yet: press b ", "dim"),)] if look.against == "nothing" else []
    _, size_diff, _, count_diff = look.total
    return [
        ((f"{_ago(store, look.against_at)} ", "dim"),),
        ((f" {signed(size_diff)} ", "warn" if size_diff > 0 else "text"),),
        ((f"in {count_diff:+,} blocks ", "dim"),),
    ]


def _objects(store: Store, options: MemoryOptions) -> list[Parts]:
    objects = store.memory.objects
    pieces: list[Parts] = [((" live objects by type ", "heading"),)]
    if options.asking:
        pieces.append(((" counting … ", "accent"),))
    if objects is None:
        return pieces
    pieces.append(((f" {objects.objects:,} of {objects.types:,} types ", "text"),))
    pieces.append(((f" {_ago(store, objects.at)}", "dim"),))
    if objects.against_at is not None:
        span = fmt.age(max(objects.at - objects.against_at, 0.0))
        pieces.append(((f", compared with {span} before ", "dim"),))
    return [*pieces, _pair("pause", fmt.duration(objects.pause))]


def empty_growth(memory: Memory, options: MemoryOptions, searching: bool) -> str:
    """Explains why the table of growth is empty."""
    if searching:
        return "No line with these words.\nEsc clears the filter."
    if memory.snapshots.get(options.group) is not None:
        return "No live block was allocated while tracing.\nx p o show hidden lines."
    if options.replay:
        return "No memory snapshot was recorded up to this moment.\nMarkers ◆ on the timeline are snapshots."
    if memory.tracing is None:
        return (
            "s traces allocations for a while, to show which lines make this program grow.\n"
            "Steps are slower meanwhile: it asks first, and stops by itself.\n"
            "t counts live objects by type instead, without tracing."
        )
    if memory.tracing.baseline is None and memory.baseline is None:
        return "Tracing.\nb takes a baseline; growth since then is shown every two seconds."
    return "Waiting for the first snapshot."


def empty_objects(options: MemoryOptions, searching: bool) -> str:
    """Explains why the table of objects is empty."""
    if searching:
        return "No type with these words.\nEsc clears the filter."
    if options.replay:
        return "No count of objects was recorded here."
    return (
        "n counts the live objects by type.\n"
        "This stops the program for about 25 ms per million objects; n again shows the growth."
    )
