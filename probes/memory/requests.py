"""Memory requests of viewers: tracemalloc, looks and their differences, live objects, figures of the process.

Nothing runs without a request. tracing.py decides when tracing ends, time_slicing.py how looks leave the GIL to the
program.
"""

from __future__ import annotations

import sys
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..base import process
from ..base.validation import BadRequestError, choice, integer, require_control
from . import objects, traces, usage
from .own_line_depth import frames_to_own_line
from .step_rates import Rates
from .time_slicing import SlicedJob, SlicedJobs
from .traces import Diff, DiffOptions, Groups, Lines, tracer
from .tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..base.settings import Settings
    from ..base.sites import Tables
    from ..sampling.journal import Journal
    from ..sampling.rows import Clock
    from .requester import Requester

    Steps = traces.Steps
    Frame = dict[str, Any]

DURATION = 60.0
AUTOMATIC = 0
"""The value of `frames` that asks for as many frames per block as lead to a line of user code."""
LONGEST = 24 * 3600.0
LIMIT = 1 << 30
"""Bytes traced at which tracing ends, unless the viewer says otherwise."""

MOST_ROWS = 500
REPORTED = 0.01
"""Seconds from which on the pause of a look is also an event. The reply has the pause in any case."""

OPERATIONS = ("memory_start", "memory_stop", "memory_baseline", "memory_look", "objects_look", "profile")
MOST_CALLS = 1000
_PROFILES = "_looptop_profiles"  # as in decorators/profile.py, which is loaded only by programs that use it
CALLS_A_FRAME = 4000
BASELINE, LAST, NOTHING = "baseline", "last", "nothing"


class EarlierSnapshots:
    """The earlier looks of one viewer, to compare with."""

    __slots__ = ("baseline", "last", "objects")

    def __init__(self) -> None:
        self.baseline: Groups | None = None
        self.last: Groups | None = None
        self.objects: objects.Counts | None = None


class Memory:
    """Serves the memory requests of all viewers. Used by the probe's thread only."""

    operations = OPERATIONS

    def __init__(self, settings: Settings, clock: Clock, journal: Journal, tables: Tables) -> None:
        self._settings = settings
        self._clock = clock
        self._journal = journal
        self._tables = tables
        self._tracing: Tracing | None = None
        self._ended: Frame | None = None
        self._looks = SlicedJobs()
        self._kept: dict[Requester, EarlierSnapshots] = {}
        self._rates = Rates()
        self._usage = usage.Usage()
        self._collector = usage.Collector()

    @property
    def capabilities(self) -> list[str]:
        """The requests that are possible. Tracing slows the program down, so it needs the setting `control`."""
        traces_memory = tracer is not None and self._settings.control
        return [*(["memory"] if traces_memory else []), "objects", "profile"]

    # What viewers ask

    def request(self, session: Requester, number: int, frame: Frame, reply: Callable[[Frame], None]) -> None:
        """Handles a request; `reply` is called now or later. Raises BadRequestError."""

        def answer(facts: Frame) -> None:
            reply({"type": "reply", "id": number, "ok": True, **facts})

        def refuse(error: str) -> None:
            reply({"type": "reply", "id": number, "ok": False, "error": error})

        operation = frame["op"]
        if operation == "profile":
            calls = integer(frame, "calls", 100, 0, MOST_CALLS)
            self._looks.begin(SlicedJob(session, self._profiles(calls, answer), answer, refuse))
            return
        if operation == "objects_look":
            limit = integer(frame, "limit", 50, 1, MOST_ROWS)
            self._looks.begin(SlicedJob(session, self._objects(self._snapshots_of(session), limit), answer, refuse))
            return
        if tracer is None:
            raise BadRequestError("this Python has no tracemalloc")
        if operation == "memory_start":
            require_control(self._settings)
            self._start(session, frame)
            answer({"tracing": self.tracing_facts(session)})
        elif operation == "memory_stop":
            self._stop(session)
            answer({})
        else:
            self._look(session, operation == "memory_baseline", frame, answer, refuse)

    def _start(self, session: Requester, frame: Frame) -> None:
        frames = integer(frame, "frames", AUTOMATIC, 0, 25)
        duration = integer(frame, "duration", round(DURATION * 1e6), 100_000, round(LONGEST * 1e6)) * 1e-6
        limit = integer(frame, "limit", LIMIT, 1 << 16, 1 << 50)
        running = self._tracing
        if running is not None:
            if running.owner is not session:
                raise BadRequestError("another viewer already traces memory: use its snapshots")
            if frames not in (AUTOMATIC, tracer.get_traceback_limit()) and not running.adopted:
                raise BadRequestError("tracing is on with another number of frames: stop it first")
            running.go_on(duration, limit)
            return
        if frames == AUTOMATIC and not tracer.is_tracing():
            frames = frames_to_own_line()
        self._tracing = tracing = Tracing(session, frames, self._rates, self._clock.unix())
        tracing.go_on(duration, limit)
        self._ended = None
        session.tracing_reported = True  # by the reply; so its end will be reported, too
        earlier = self._kept.get(session)
        if earlier is not None:
            earlier.baseline = earlier.last = None
        how = "the program traced memory already" if tracing.adopted else "memory tracing started"
        kept_frames = tracer.get_traceback_limit()
        self._report(f"{how} ({kept_frames} {'frame' if kept_frames == 1 else 'frames'} a block)")

    def _stop(self, session: Requester) -> None:
        if self._tracing is None:
            raise BadRequestError("memory is not traced")
        if self._tracing.owner is not session:
            raise BadRequestError("another viewer has switched tracing on: it ends when that one leaves")
        self._end("stopped by the viewer that requested it")

    def _look(
        self,
        session: Requester,
        baseline: bool,
        frame: Frame,
        answer: Callable[[Frame], None],
        refuse: Callable[[str], None],
    ) -> None:
        tracing = self._tracing
        if tracing is None:
            raise BadRequestError("memory is not traced: memory_start comes first")
        against = NOTHING if baseline else choice(frame, "against", (BASELINE, LAST, NOTHING), BASELINE)
        group = choice(frame, "group", traces.GROUPS, traces.LINENO)
        hide = frame.get("hide", ["probe"])
        if not isinstance(hide, list) or not all(name in traces.HIDDEN for name in hide):
            raise BadRequestError(f"hide: a list of {', '.join(traces.HIDDEN)}")
        limit = integer(frame, "limit", 50, 0, MOST_ROWS)
        earlier = self._snapshots_of(session)
        if against == BASELINE and earlier.baseline is None:
            raise BadRequestError("there is no baseline to compare with: send memory_baseline first")
        wanted = DiffOptions(group, frozenset(traces.HIDDEN.index(name) for name in hide), limit)
        self._looks.begin(SlicedJob(session, self._traces(tracing, earlier, baseline, against, wanted), answer, refuse))

    def _snapshots_of(self, session: Requester) -> EarlierSnapshots:
        """The earlier looks of a viewer, fetched at the request: it may leave before its look is done."""
        return self._kept.setdefault(session, EarlierSnapshots())

    # Looks, in slices

    def _traces(
        self, tracing: Tracing, earlier: EarlierSnapshots, baseline: bool, against: str, wanted: DiffOptions
    ) -> Steps:
        started = monotonic()
        now = Groups()
        now.at = self._clock.unix()
        now.rss = process.resident()
        if self._tracing is not tracing or not tracer.is_tracing():
            raise BadRequestError("tracing has ended meanwhile")
        yield from traces.collect(now, tracing.lines)
        tracing.pause = now.pause
        tracing.looks += 1
        if now.pause >= REPORTED:
            self._report(f"a snapshot of {now.blocks} blocks held the program for {now.pause * 1e3:.1f} ms", now.pause)
        before = {BASELINE: earlier.baseline, LAST: earlier.last, NOTHING: None}[against]
        diff = Diff()
        if not baseline:
            yield from traces.compare(diff, now, before, wanted, tracing.lines)
        yield from traces.trim(now)
        if self._tracing is tracing:
            earlier.last = now
            if baseline:
                earlier.baseline = now
        facts: Frame = {
            "at": now.at,
            "blocks": now.blocks,
            "groups": len(now.by_key),
            "pause": round(now.pause * 1e6),
            "took": round((monotonic() - started) * 1e6),
            "traced": now.traced,
            "peak": now.peak,
            "overhead": now.overhead,
            "rss": now.rss,
        }
        if not baseline:
            facts |= {
                "against": against,
                "against_at": before.at if before is not None else None,
                "group": wanted.group,
                "frames": tracer.get_traceback_limit(),
                "rows": [[self._sites(key, wanted.group, tracing.lines), *figures] for key, figures in diff.rows],
                "shown": len(diff.rows),
                "found": diff.groups,
                "total": diff.total,
                "hidden": diff.hidden,
                "others": diff.others,
            }
        return {"memory": facts}

    def _sites(self, key: traces.Key, group: str, lines: Lines) -> list[int]:
        """Numbers of sites, outermost first. A line from tracemalloc has no function, a file no line."""
        tables = self._tables
        if group == traces.FILENAME:
            return [tables._site(lines.files[key[0]], 0, "")]
        return [tables._site(*lines.lines[number], "") for number in reversed(key)]

    def _objects(self, earlier: EarlierSnapshots, limit: int) -> Steps:
        started = monotonic()
        now = objects.Counts()
        now.at = self._clock.unix()
        yield from objects.count(now)
        before, earlier.objects = earlier.objects, now
        difference = objects.Difference()
        yield from objects.compare(difference, now, before, limit)
        return {
            "objects": {
                "at": now.at,
                "against_at": before.at if before is not None else None,
                "objects": now.objects,
                "types": difference.types,
                "pause": round(now.pause * 1e6),
                "took": round((monotonic() - started) * 1e6),
                "rows": difference.rows,
            }
        }

    def _profiles(self, calls: int, answer: Callable[[Frame], None]) -> Steps:
        """The figures of the profile decorators, in pieces."""
        tables = self._tables
        piece: list[Frame] = []
        room = CALLS_A_FRAME
        for profile in list(getattr(sys, _PROFILES, {}).values()):
            facts = profile.facts(calls)
            facts["site"] = tables._site(facts.pop("file"), facts.pop("line"), facts["function"])
            for call in facts["recent"]:
                call[-1] = [[tables._site(row[0][0], row[0][1], ""), *row[1:]] for row in call[-1] or ()]
            room -= len(facts["recent"]) + 10
            piece.append(facts)
            if room < 0:
                answer({"more": True, "profiles": piece})
                piece, room = [], CALLS_A_FRAME
            yield
        return {"profiles": piece}

    # The probe's thread

    def due(self) -> float | None:
        """When `step` must be called; None: no need."""
        look = self._looks.due()
        return self._tracing.due() if look is None and self._tracing is not None else look

    def step(self, now: float) -> None:
        """Does one slice of the current look, and ends tracing when it is over."""
        over = self._tracing.why_over(now) if self._tracing is not None else None
        if over is not None:
            self._end(over)
        self._looks.step(now)

    def _end(self, why: str) -> None:
        """Ends the tracing; pending looks are answered if their traces were copied already."""
        tracing, self._tracing = self._tracing, None
        if tracing is None:
            return
        goes_on = tracing.end()
        for earlier in self._kept.values():
            earlier.baseline = earlier.last = None
        self._ended = {"at": self._clock.unix(), "why": why}
        left = "; the program goes on tracing, as before" if goes_on else ""
        self._report(f"memory tracing stopped: {why}{left}")

    def _report(self, text: str, duration: float = 0.0) -> None:
        self._journal.add("memory", self._clock.unix(), text=text, duration=round(duration * 1e6))

    def seen(self, now: float, steps: int, busy: float) -> None:
        """Notes the steps and busy time of all loops, at each look of the sampler."""
        self._rates.add(now, steps, busy)
        if self._tracing is not None:
            self._tracing.during.add(now, steps, busy)

    def viewers_changed(self, sessions: Iterable[Requester]) -> None:
        """Drops the looks of viewers that have left, and stops tracing that only they requested."""
        there = set(sessions)
        for session in [session for session in self._kept if session not in there]:
            del self._kept[session]
        if self._tracing is not None and self._tracing.owner not in there:
            self._end("the viewer that requested it has left")
        if any(session.watching and session.watch.memory for session in there):
            self._collector.on()
        else:
            self._collector.off()

    def close(self, forked: bool = False) -> None:
        """Ends tracing and drops all looks; in a forked child without finishing them."""
        if not forked:
            self._looks.finish()
        self._looks.forget()
        self._kept.clear()
        self._collector.off()
        tracing, self._tracing = self._tracing, None
        if tracing is not None:
            tracing.end()

    # What ticks carry

    def facts(self, session: Requester, full: bool) -> Frame | None:
        """The `memory` of a tick: tracing while it is on and once after, usage when it is watched (`full`)."""
        facts: Frame = {}
        if self._tracing is not None:
            facts["tracing"] = self.tracing_facts(session)
            session.tracing_reported = True
        elif session.tracing_reported:
            session.tracing_reported = False
            facts["tracing"] = None
            facts["ended"] = self._ended
        if full and session.watch.memory:
            facts["usage"] = self._usage.facts()
            facts["collector"] = self._collector.facts()
        return facts or None

    def tracing_facts(self, session: Requester) -> Frame | None:
        """The `tracing` of the protocol; None while there is none."""
        if self._tracing is None:
            return None
        earlier = self._kept.get(session)
        baseline = earlier.baseline if earlier is not None else None
        return self._tracing.facts(session, baseline.at if baseline is not None else None)
