"""Memory tracing: starts it after showing the cost, takes a snapshot every two seconds, and stops it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor import parsing
from monitor.errors import UsageError
from monitor.tui.dialogs.form import Field, FormScreen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.protocol.frames import Reply
    from monitor.tui.base.dashboard import Dashboard

EVERY = 2.0
"""Seconds between two automatic snapshots."""

PATIENCE = 30.0
"""Seconds after which a snapshot counts as lost."""

GROUPS = {"lineno": "line", "filename": "file", "traceback": "traceback"}
AGAINST = {"baseline": "the baseline", "last": "the last snapshot"}
AUTOMATIC = "auto"
HIDDEN = {"stdlib": "stdlib", "packages": "packages", "probe": "probe"}
MOST_ROWS = 300
LONGEST = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Trace:
    """The settings that tracing starts with."""

    frames: int = 0  # 0: as many as it takes to reach a line of the user's code
    duration: float = 60.0  # seconds
    limit: int = 1 << 30  # bytes traced


def price(frames: int) -> str:
    """The slowdown of steps while tracing, as measured on empty steps."""
    if frames == 0:
        return "3 to 5 times with one frame, 11 with two, 14 to 16 with three or four"
    if frames == 1:
        return "3 to 5 times"
    if frames < 10:
        return "between 3 and 57 times"
    return "26 to 57 times" if frames == 10 else "more than 26 to 57 times"


def read_trace(texts: Sequence[str]) -> Trace:
    """Parses the fields of the form. Raises UsageError."""
    frames, duration, limit = texts
    if frames != AUTOMATIC and (not frames.isdigit() or not 1 <= int(frames) <= 25):
        raise UsageError(f"{frames or 'nothing'} is not a number of frames", f"1 to 25, or {AUTOMATIC}")
    seconds = parsing.duration(duration, "60s or 5m, at most 24h", least=1.0, most=LONGEST)
    most = parsing.size(limit)
    if most is None or not 1 << 16 <= most <= 1 << 50:
        raise UsageError(f"{limit!r} is not a size", "for example 1GiB or 200M, at least 64K")
    return Trace(0 if frames == AUTOMATIC else int(frames), seconds, int(most))


def explain(texts: Sequence[str]) -> str:
    """Describes the cost for the number of frames in the form."""
    if texts[0] == AUTOMATIC:
        return (
            "tracemalloc records every allocation, with as many frames as lead to a line of your own code; "
            f"a step costs {price(0)} as much (for empty steps; the screen shows the cost in this program). "
            "Tracing stops after this time, above this limit, or when you quit."
        )
    known = texts[0].isdigit() and 1 <= int(texts[0]) <= 25
    frames = int(texts[0]) if known else 1
    with_them = "one frame" if frames == 1 else f"{frames} frames"
    return (
        f"tracemalloc records every allocation. With {with_them} per block a step costs {price(frames)} as much "
        "(for empty steps; the screen shows the cost in this program). "
        "Tracing stops after this time, above this limit, or when you quit."
    )


class Tracer:
    """The tracing options of one screen and its pending request."""

    def __init__(self, app: Dashboard) -> None:
        self._app = app
        self.group = "lineno"
        self.against = "baseline"
        self.hidden = {"probe"}
        self.live = True
        self._last = Trace()
        self._asked_at: float | None = None
        self._looked_at = float("-inf")
        self._again = False  # another request came while one was pending

    @property
    def asking(self) -> bool:
        """Whether a reply is pending."""
        if self._asked_at is not None and self._app.clock() - self._asked_at > PATIENCE:
            self._asked_at = None
        return self._asked_at is not None

    def toggle(self) -> None:
        """Stops tracing, or asks and starts it."""
        app, tracing = self._app, self._app.store.memory.tracing
        if tracing is not None and not app.replaying:
            if tracing.mine:
                self._ask("memory_stop", lambda _: app.say("tracing is off"))
            else:
                app.say("another viewer started tracing; only that viewer can stop it", bad=True)
            return
        if not self.able("memory", "trace its memory"):
            return
        last = self._last
        fields = (
            Field("frames", str(last.frames or AUTOMATIC), "1 to 25; auto: up to your own code"),
            Field("for", f"{last.duration:g}s", "then tracing stops"),
            Field("at most", f"{last.limit / (1 << 20):g}MiB", "traced; tracing stops above it"),
        )
        form = FormScreen("Trace the memory of this program?", fields, read_trace, "start tracing", explain)
        app.push_screen(form, lambda trace: self._start(trace) if trace is not None else None)

    def able(self, capability: str, what: str) -> bool:
        """Whether the probe has a capability; shows a message if not."""
        app = self._app
        session = app.store.session
        if app.replaying:
            app.say("not available in a recording", bad=True)
        elif session is None or capability not in session.capabilities:
            app.say(f"the probe of this program cannot {what}", bad=True)
        else:
            return True
        return False

    def _start(self, trace: Trace) -> None:
        self._last = trace
        self._ask(
            "memory_start",
            lambda _: self.baseline(),
            frames=trace.frames,
            duration=round(trace.duration * 1e6),
            limit=trace.limit,
        )

    def baseline(self) -> None:
        """Makes the current state the baseline of later snapshots."""
        if self._traced():
            self._ask("memory_baseline", lambda _: self.take_snapshot())

    def take_snapshot(self, group: str | None = None) -> None:
        """Takes a snapshot now, or after the pending request."""
        if self.asking:
            self._again = True
            return
        if not self._traced():
            return
        against = self.against if self.against != "baseline" or self._has_baseline() else "nothing"
        self._looked_at = self._app.clock()
        self._ask(
            "memory_look",
            lambda _: None,
            group=group or self.group,
            against=against,
            hide=sorted(self.hidden),
            limit=MOST_ROWS,
        )

    def _has_baseline(self) -> bool:
        memory = self._app.store.memory
        return memory.baseline is not None or (memory.tracing is not None and memory.tracing.baseline is not None)

    def snapshot_if_due(self) -> None:
        """Takes a snapshot every two seconds, once there is a baseline; not during a pause."""
        app = self._app
        memory = app.store.memory
        if not self.live or app.paused or app.replaying or memory.tracing is None or self.asking:
            return
        if self._has_baseline() and app.clock() - self._looked_at >= EVERY:
            self.take_snapshot()

    def objects(self) -> None:
        """Counts the live objects by type."""
        if self.able("objects", "count its objects") and not self.asking:
            self._ask("objects_look", lambda _: None, limit=MOST_ROWS)

    def _traced(self) -> bool:
        if self._app.store.memory.tracing is None and not self._app.replaying:
            self._app.say("memory is not traced; s starts tracing")
            return False
        return self.able("memory", "trace its memory")

    def _ask(self, op: str, then: Callable[[Reply], None], **arguments: object) -> None:
        def answer(reply: Reply) -> None:
            self._asked_at = None
            again, self._again = self._again, False
            if again and reply.ok and op == "memory_look":
                self.take_snapshot()
            elif reply.ok:
                then(reply)
            else:
                self._app.say(f"{op.replace('_', ' ')}: {reply.error}", bad=True)

        if self._app.request(op, answer, **arguments):
            self._asked_at = self._app.clock()
        else:
            self._app.say("not connected to the program", bad=True)
