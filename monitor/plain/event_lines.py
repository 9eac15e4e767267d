"""The objects of `looptop watch` as lines of text."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.plain import findings as plain_findings
from monitor.plain.objects import Object
from monitor.store.labels import reasons_text
from monitor.store.task_names import who

if TYPE_CHECKING:
    from collections.abc import Callable


def line(thing: Object) -> str:
    """An object as one line."""
    kind = thing["type"]
    mark = "past  " if thing.get("past") else ""
    whose = f"{thing['worker']} ({thing['pid']})  " if "worker" in thing else ""
    return f"{_clock(thing['time'])}  {kind:<13}  {mark}{whose}{fmt.clean(_TEXTS[kind](thing))}"


def lines(thing: Object) -> list[str]:
    """As `line`, followed by the local variables of a failure's frames, if they were kept."""
    found = [line(thing)]
    for site, names in zip(thing.get("traceback") or [], thing.get("locals") or [], strict=False):
        if names is not None:
            found.append(f"{'':<14}{fmt.clean(_place(site))}")
            found += [f"{'':<18}{fmt.clean(name)} = {fmt.clean(text)}" for name, text in names.items()]
    return found


def _clock(at: float) -> str:
    try:
        second, milliseconds = divmod(round(at * 1000), 1000)
        return f"{time.strftime('%H:%M:%S', time.localtime(second))}.{milliseconds:03}"
    except (OverflowError, ValueError, OSError):  # outside the calendar's range
        return f"{at:.3f}"


def _blocked(thing: Object) -> str:
    least = "at least " if thing["at_least"] else ""
    at = f" at {_place(thing['line'])}" if thing["line"] else ""
    return f"for {least}{fmt.duration(thing['duration'])} by now{at}  in {_who(thing, thing['callback'])}"


def _slow(thing: Object) -> str:
    whose = _who(thing, thing["callback"])
    where = thing["line"] or (thing["stack"][-1] if thing["stack"] else None)
    at = _place(where) if where else "over before it was caught"
    return f"{fmt.bound(thing['duration'], thing['at_least'])}  {at}  in {whose}{_why(thing)}{_gil(thing)}"


def _why(thing: Object) -> str:
    """Where the time went, unless it was the code's own or a wait that the line shows anyway."""
    reasons = {name: part for name, part in thing["reasons"].items() if part}
    if not reasons.keys() & {"io", "gc", "import", "faults", "throttled"}:
        return ""
    return f"  {reasons_text(reasons)}"


def _gone(thing: Object) -> str:
    """How a worker ended, and where its last minutes are."""
    box = f"; looptop postmortem {thing['pid']}" if thing["box"] else ""
    return f"has gone: {thing['reason'] or 'how it ended is not known'}{box}"


def _gil(thing: Object) -> str:
    """The share of time spent waiting for the GIL, and the thread that held it."""
    if not thing["gil"]:
        return ""
    holder = thing["held_by"]
    name = f"thread {holder['thread']}" if holder and holder["thread"] else "another thread"
    where = f" at {_place(holder['line'])}" if holder and holder["line"] else ""
    return f"  waited {fmt.duration(thing['gil'])} for the GIL: {name} had it{where}"


def _ended(thing: Object) -> str:
    failure = thing["exception"]
    why = f"  {_failure(failure)}" if failure else ""
    why += f"  {thing['cancelled_by']['text']}" if thing["cancelled_by"] else ""
    figures = f"age {fmt.duration(thing['age'])}  busy {fmt.duration(thing['busy'])}"
    return f"{thing['outcome'] or 'ended':<9}  {_who(thing, thing['coro'])}{why}  {figures}"


def _unhandled(thing: Object) -> str:
    failure = thing["exception"]
    why = f"  {_failure(failure)}" if failure else ""
    whose = f"  in {_who(thing, thing['coro'] or '')}" if thing["task"] or thing["name"] else ""
    return f"{_first_line(thing['message'])}{why}{whose}"


def _failure(failure: Object) -> str:
    return ": ".join(filter(None, (failure["type"], _first_line(failure["message"]))))


def _loop_text(thing: Object) -> str:
    figures = (
        f"loop {thing['loop']}",
        f"lag {fmt.duration(thing['lag'])}",
        f"utilization {fmt.percent(thing['utilization'])}",
        f"{fmt.rate(thing['steps_per_s'])} steps/s",
        f"ready {fmt.count(thing['ready'])}",
        f"timers {fmt.count(thing['timers'])}",
    )
    return "  ".join(figures)


_TEXTS: dict[str, Callable[[Object], str]] = {
    "blocked": _blocked,
    "slow_callback": _slow,
    "task_ended": _ended,
    "unhandled": _unhandled,
    "loop": _loop_text,
    "finding": plain_findings.finding_text,
    "finding_gone": plain_findings.gone_text,
    "worker_started": lambda thing: "joined",
    "worker_ended": lambda thing: _gone(thing),
    "notice": lambda thing: str(thing["text"]),
}


def _who(thing: Object, otherwise: str) -> str:
    return who(thing["task"], thing["name"], otherwise, thing["label"]) or "?"


def _place(site: Object) -> str:
    return fmt.place(site["file"], site["line"], site["function"])


def _first_line(text: str) -> str:
    first = text.split("\n", 1)[0]
    return first if len(first) <= 200 else first[:200] + "…"
