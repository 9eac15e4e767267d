"""Loads profiles from files: a recording with samples, or the output of `looptop flame --json`."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import msgspec

from monitor.errors import UsageError
from monitor.protocol.frames import Event, Sites, Static, Strings, Tick
from monitor.protocol.rows import SECOND
from monitor.recording.file_format import Damaged
from monitor.recording.reader import Recording
from monitor.store.flame import CALLBACKS, FlameSamples, Stacks, Whose
from monitor.store.model import Site
from monitor.store.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from monitor.protocol.frames import Frame
    from monitor.recording.of_set import RecordedSet
    from monitor.store.flame import Row

ON_LOOP, WAITING, JOBS, SLOW = "on_loop", "waiting", "jobs", "slow_callbacks"
MOST_NAMES = 200_000


@dataclass(slots=True)
class Profile:
    """Stacks of one kind. `samples` is how many found one; None if no single samples were taken."""

    kind: str
    stacks: Stacks
    samples: int | None = None
    idle: float | None = None  # seconds in which loops ran no callback
    lost: int = 0
    notes: list[str] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    """Known names of tasks, by id."""

    def rows(self, by: str = "group") -> list[Row]:
        """The stacks under their groups, tasks, … (store.flame.BY)."""
        return self.stacks.by(by, self.names.get)


class NoSamplesError(UsageError):
    """A recording has no samples of the kind asked for. `sampled`: although it was made with --flame."""

    def __init__(self, path: Path, *, sampled: bool) -> None:
        what, why = "for a flame graph", "record with --flame; black box: set box_flame"
        if sampled:
            what, why = "of that kind", "no task ran or waited long enough to be sampled"
        super().__init__(f"{path} has no samples {what}", why)
        self.sampled = sampled


class Collector:
    """Applies frames and keeps the data of flame graphs only; cheaper than a store."""

    def __init__(self) -> None:
        self.samples = FlameSamples()
        self.slow = Stacks()
        self.tables = Tables()
        self.names: dict[int, str] = {}

    def apply(self, frame: Frame) -> None:
        """Add the samples and names of one frame."""
        match frame:
            case Static():
                self.tables.add(frame.strings, frame.sites)
                if len(self.names) < MOST_NAMES:
                    self.names |= {task.id: task.name for task in frame.tasks}
            case Tick(flame=flame) if flame is not None:
                self.samples.apply(flame, frame.at * SECOND, self.tables)
            case Event(kind="slow_callback") if frame.stack:
                self.slow.add(
                    Whose(frame.callback if frame.task else CALLBACKS, frame.label or ""),
                    self.tables.stack(frame.stack),
                    frame.duration * SECOND,
                )
            case _:
                pass

    def profile(self, kind: str) -> Profile:
        """Return the collected profile; stacks of slow callbacks if the loops could not be sampled."""
        found = self._profile(kind)
        found.names = self.names
        return found

    def _profile(self, kind: str) -> Profile:
        samples = self.samples
        if kind != ON_LOOP and not (kind == JOBS and samples.why_not):
            return Profile(kind, samples.of(kind), samples.samples.get(kind), lost=samples.lost)
        if samples.why_not and not len(samples.on_loop):
            note = f"{samples.why_not}: these are the stacks of slow callbacks only"
            return Profile(SLOW, self.slow, notes=[note])
        return Profile(ON_LOOP, samples.on_loop, samples.samples[ON_LOOP], samples.idle, samples.lost)


def from_recording(path: Path, kind: str = ON_LOOP, *, begin: int = 0, end: int | None = None) -> Profile:
    """Return the samples of a recording between two times (Unix microseconds). Raises UsageError if it has none."""
    found = Collector()
    with Recording(path) as recording:
        begin = max(begin, recording.start)  # a probe also tells of slow callbacks from before
        number = 0
        while number < recording.blocks:
            try:
                keyframe, decoded = recording.keyframe(number), recording.decoded(number)
            except Damaged:
                recording.leave_out(number)
                continue
            found.tables = Tables()
            found.tables.add(Strings(0, keyframe.strings), Sites(0, keyframe.sites))
            columns: Any = keyframe.tasks
            found.names |= zip(accumulate(columns.id), columns.name, strict=True)
            for frame in decoded.frames:
                if not isinstance(frame, Tick | Event) or (frame.at >= begin and (end is None or frame.at <= end)):
                    found.apply(frame)
            number += 1
        problems = list(recording.problems)
    profile = found.profile(kind)
    if not len(profile.stacks) and kind == ON_LOOP and len(found.slow):
        profile = Profile(SLOW, found.slow, notes=["no samples were recorded: these are the stacks of slow callbacks"])
    if not len(profile.stacks):
        raise NoSamplesError(path, sampled=found.samples.since is not None)
    profile.notes += problems
    return profile


def merged(kind: str, profiles: Mapping[str, Profile]) -> Profile:
    """The profiles of several processes as one; they are given by what the column Process says of them."""
    of_kind = {whose: one for whose, one in profiles.items() if one.kind == kind} or dict(profiles)
    rows: list[tuple[Whose, tuple[Site, ...], float]] = []
    notes: list[str] = []
    for process, one in of_kind.items():
        rows += [(whose._replace(process=process, task=0), stack, seconds) for whose, stack, seconds in one.stacks]
    for process, one in profiles.items():
        notes += [f"worker {process}: {note}" for note in one.notes]
    samples = [one.samples for one in of_kind.values() if one.samples is not None]
    idle = [one.idle for one in of_kind.values() if one.idle is not None]
    return Profile(
        next(iter(of_kind.values())).kind,
        Stacks.of(rows),
        sum(samples) if samples else None,
        sum(idle) if idle else None,
        sum(one.lost for one in of_kind.values()),
        notes,
    )


def from_recorded_set(recorded: RecordedSet, kind: str = ON_LOOP, *, begin: int = 0) -> Profile:
    """The samples of all recordings of a set. Raises UsageError if none has any."""
    found: dict[str, Profile] = {}
    sampled = False
    for part in recorded.parts:
        try:
            found[f"{part.worker} ({part.pid})"] = from_recording(part.path, kind, begin=begin)
        except NoSamplesError as error:
            sampled = sampled or error.sampled
        except UsageError:
            continue
    if not found:
        raise NoSamplesError(recorded.path, sampled=sampled)
    return merged(kind, found)


def has_samples(path: Path) -> bool:
    """Whether a recording has samples of the loops, judged by its first blocks without reading the rest."""
    with Recording(path) as recording:
        for number in range(min(recording.blocks, 3)):
            try:
                frames = recording.decoded(number).frames
            except Damaged:
                continue
            if any(isinstance(frame, Tick) and frame.flame is not None and frame.flame.on_loop for frame in frames):
                return True
    return False


class _Frame(msgspec.Struct):
    file: str
    line: int
    function: str


class _Stack(msgspec.Struct):
    group: str
    frames: list[_Frame]
    seconds: float
    label: str | None = None
    site: _Frame | None = None
    task: int | None = None
    name: str | None = None

    def whose(self) -> Whose:
        site = None if self.site is None else Site(self.site.file, self.site.line, self.site.function)
        return Whose(self.group, self.label or "", site, self.task or 0)


class _Saved(msgspec.Struct):
    kind: str
    stacks: list[_Stack]
    samples: int | None = None
    idle: float | None = None


def from_file(path: Path, kind: str = ON_LOOP) -> Profile:
    """Return the profile of a recording, or of a file written by `looptop flame --json`. Raises UsageError."""
    if not path.is_dir():
        try:
            with path.open("rb") as file:
                is_object = file.read(1) == b"{"
                data = file.read() if is_object else b""
        except OSError as error:
            raise UsageError(f"{path} cannot be read", error.strerror or str(error)) from None
        if is_object:
            try:
                saved = msgspec.json.decode(b"{" + data, type=_Saved)
            except msgspec.DecodeError as error:
                raise UsageError(
                    f"{path} is not a profile: {error}", "use the output of looptop flame --json"
                ) from None
            rows = (
                (row.whose(), tuple(Site(one.file, one.line, one.function) for one in row.frames), row.seconds)
                for row in saved.stacks
            )
            names = {row.task: row.name for row in saved.stacks if row.task and row.name}
            return Profile(saved.kind, Stacks.of(rows), saved.samples, saved.idle, names=names)
    return from_recording(path, kind)
