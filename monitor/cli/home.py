"""The connect screen: what it lists, how an entry is opened, and the way back to it from a dashboard."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor import formatting as fmt
from monitor.errors import LooptopError

if TYPE_CHECKING:
    from collections.abc import Hashable

    from monitor.attach.boxes import Box
    from monitor.attach.programs import Program
    from monitor.recording.metadata import Metadata
    from monitor.recording.of_set import RecordedSet
    from monitor.tui.base.choices import Choice, Opened, OpenedSet

FIRST_MOMENT = 0.4
"""Seconds for a sample to fail before the dashboard opens on it."""

LONGEST_FOLDER = 30

WAYS = {
    "probe": "opens the dashboard: its probe is there",
    "attach": "puts a probe in and opens the dashboard; the probe leaves with you",
    "read-only": "reads its tasks from outside, without times",
}


def connect_screen(section: str = "programs", via: str | None = None) -> int:
    """Run the connect screen and the dashboards opened from it, until the user quits.

    `via`: it lists the programs on the other side of that command.
    """
    from monitor.attach.programs import where_loops_are
    from monitor.findings import thresholds
    from monitor.tui import run_connect, run_dashboard
    from monitor.tui.base.choices import OpenedSet

    thresholds.load()  # reports an invalid file before the screen opens
    home = Listed(via=via)
    while True:
        status, opened = run_connect(home, section, home.key, home.where())
        if opened is None:
            return status
        if isinstance(opened, OpenedSet):
            from monitor.cli.service import show_set

            left, section = show_set(opened.what)
            if left or not section:
                return left
            home.go_to(section)
            continue
        try:
            left = run_dashboard(
                opened.source,
                program=opened.program,
                home=home.go_to,
                asks=False,
                loops_below=where_loops_are if via is None else None,
            )
            reports_end = opened.program is None or opened.program.running  # or it says how the sample ended
        finally:
            opened.close()
        if left and reports_end:
            return left
        section = home.section


class Listed:
    """Lists the programs on this machine or another one, the recordings in this folder, and the samples."""

    def __init__(self, folder: Path | None = None, via: str | None = None) -> None:
        """`via`: the command that leads to the other machine."""
        self.folder = Path.cwd() if folder is None else folder
        self.via = via
        self.section = "programs"  # the last one from which something was opened
        self.key: Hashable = None
        self._samples: list[Choice] | None = None
        self._workers: dict[Hashable, int] = {}  # parents without a loop of their own, and how many have one
        self._boxes: dict[str, Box] = {}  # on the other side

    def where(self) -> str:
        """User and machine, or the command that leads there, and the folder, for the header."""
        import socket

        from monitor.attach.find import user_name

        home = str(Path.home())
        folder = str(self.folder)
        short = "~" + folder[len(home) :] if folder == home or folder.startswith(home + "/") else folder
        if len(short) > LONGEST_FOLDER:
            short = "…" + short[1 - LONGEST_FOLDER :]
        place = f"{user_name(os.geteuid())}@{socket.gethostname()}" if self.via is None else f"via {self.via}"
        return f"{place}  {short}"

    def programs(self) -> list[Choice]:
        """The same list as `looptop ps`. Raises LooptopError."""
        listed, now = self._listed(), self._clock()
        owners = {program.owner for program in listed}
        if self.via is None:
            from monitor.attach.find import user_name

            owners.add(user_name(os.geteuid()))
        parents = {program.parent for program in listed}
        targets = {one.pid: self._target(one.pid) for one in listed}
        self._workers = {
            targets[one.pid]: number
            for one in listed
            if one.pid in parents and (number := _workers_of(targets[one.pid]))
        }
        return [
            of_program(
                one, now, targets[one.pid], owner=len(owners) > 1, workers=self._workers.get(targets[one.pid], 0)
            )
            for one in listed
        ]

    def _listed(self) -> list[Program]:
        if self.via is None:
            from monitor.attach.programs import programs

            return programs()
        from monitor.attach import elsewhere

        return elsewhere.programs(self.via)

    def _clock(self) -> float:
        """The time on the machine whose programs are listed."""
        if self.via is None:
            return time.time()
        from monitor.remote.links import link_to

        return time.time() + link_to(self.via).skew

    def _target(self, pid: int) -> str:
        from monitor.remote import place

        return str(pid) if self.via is None else place.join(str(pid), self.via)

    def recordings(self) -> list[Choice]:
        """The programs that died with a black box, then recordings and recorded sets in this folder, newest first."""
        from monitor.recording.metadata import in_folder
        from monitor.recording.of_set import sets_in

        now = time.time()
        found = [(one.start or 0.0, of_recording(one, now)) for one in in_folder(self.folder)]
        found += [(one.start, of_recorded_set(one, now)) for one in sets_in(self.folder)]
        found.sort(key=lambda pair: -pair[0])
        return [*(of_box(box, self.via) for box in self._dead()), *(choice for _, choice in found)]

    def _dead(self) -> list[Box]:
        if self.via is None:
            from monitor.attach import boxes

            return boxes.dead()
        from monitor.attach import boxes_elsewhere

        self._boxes = {str(box.path): box for box in boxes_elsewhere.found(self.via)}
        return list(self._boxes.values())

    def samples(self) -> list[Choice]:
        """The sample programs of the catalogue, as rows of the connect screen."""
        if self._samples is None:
            from monitor.tui.base.choices import Choice
            from sample_apps.catalogue import samples

            self._samples = [
                Choice(
                    one.name,
                    {"name": one.name, "topic": one.topic, "shows": one.sentence},
                    (one.sentence, f"{one.topic}; done right in {one.fix}" if one.fix else one.topic),
                    "starts it and opens the dashboard; it ends when you leave",
                )
                for one in sorted(samples(), key=lambda one: one.name != "demo")
            ]
        return self._samples

    def go_to(self, section: str) -> int:
        """Show this section next, because the user left a dashboard for it."""
        self.section, self.key = section, None
        return 0

    def open(self, section: str, key: Hashable) -> Opened | OpenedSet:
        """Connect, or raise LooptopError. A parent with workers means these."""
        self.section, self.key = section, key
        if section == "programs" and key in self._workers:
            from monitor.tui.base.choices import OpenedSet

            return OpenedSet(str(key))
        if section == "recordings" and isinstance(key, tuple):
            return _box_elsewhere(self._boxes[key[0]], key[1])
        if section == "recordings" and _is_recorded_set(str(key)):
            from monitor.tui.base.choices import OpenedSet

            return OpenedSet(Path(str(key)))
        opener: Any = {"programs": _program, "recordings": _recording, "samples": _sample}[section]
        opened: Opened = opener(key)
        return opened


def _workers_of(target: str) -> int:
    """The number of workers of a parent; 0 for a process that is none."""
    from monitor.fleet.expansion import members_now

    found = members_now(target)
    return 0 if found == [target] else len(found)


def of_program(program: Program, now: float, target: str, owner: bool, workers: int = 0) -> Choice:
    """A program as a row; `owner` adds whose it is, `workers`: it is a parent of that many, which it means."""
    from monitor.plain.programs import branch, listens, loop_kind
    from monitor.tui.base.choices import Choice

    cells = {
        "pid": str(program.pid),
        "owner": program.owner if owner else "",
        "name": f"@{program.name}" if program.name else "",
        "python": program.python or fmt.UNKNOWN,
        "loop": loop_kind(program),
        "ports": listens(program),
        "watch": program.how or "no",
        "program": branch(program) + program.title,
    }
    since = "" if program.started is None else f"  started {fmt.age(max(now - program.started, 0.0))} ago"
    ports = f"  listens on {' '.join(program.ports)}" if program.ports else ""
    facts = f"{program.owner}{since}{ports}"
    why = f"{program.reason}: {program.todo}" if program.todo else program.reason or ""
    if workers:
        hint = f"shows its {fmt.several(workers, 'worker')}: Enter goes into one"
        return Choice(target, {**cells, "watch": "workers"}, (program.command, facts), hint)
    if program.how is None:
        return Choice(target, cells, (program.command, facts), why_not=why)
    hint = WAYS[program.how] + (f": {program.reason}" if program.reason else "")
    return Choice(target, cells, (program.command, facts), hint)


def of_box(box: Box, via: str | None = None) -> Choice:
    """A program that died, as a row; `via`: on the other side of that command."""
    from monitor.tui.base.choices import Choice

    ended = box.ended or box.changed
    cells = {
        "file": box.path.name,
        "name": f"@{box.heading.name}" if box.heading.name else "",
        "program": box.heading.program or box.heading.name,
        "when": time.strftime("%Y-%m-%d %H:%M", time.localtime(ended)),
        "length": "",
        "size": fmt.size(box.size),
    }
    facts = f"pid {box.heading.pid}  died {fmt.age(box.ago or 0.0)} ago: {box.how}"
    key = str(box.path) if via is None else (str(box.path), via)
    return Choice(key, cells, (str(box.path), facts), "opens its last minutes")


def of_recording(one: Metadata, now: float) -> Choice:
    """A recording as a row."""
    from monitor.tui.base.choices import Choice

    when = "" if one.start is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(one.start))
    cells = {
        "file": one.path.name,
        "name": f"@{one.name}" if one.name else "",
        "program": one.program or one.name,
        "when": when,
        "length": "" if one.duration is None else fmt.duration(one.duration),
        "size": fmt.size(one.size),
    }
    facts = [f"pid {one.pid}" if one.pid else "", f"on {one.host}" if one.host else ""]
    facts += [f"Python {one.python}" if one.python else "", "" if one.whole else "it was not finished"]
    facts += [f"{one.dropped} ticks are missing" if one.dropped else ""]
    if one.start is not None:
        facts.append(f"begun {fmt.age(max(now - one.start, 0.0))} ago")
    about = (str(one.path), "  ".join(filter(None, facts)))
    if one.problem:
        return Choice(str(one.path), cells, (str(one.path),), why_not=one.problem)
    return Choice(str(one.path), cells, about, "replays it")


def of_recorded_set(one: RecordedSet, now: float) -> Choice:
    """A recorded set as a row."""
    from monitor.tui.base.choices import Choice

    number, workers = len(one.parts), len({part.worker for part in one.parts})
    cells = {
        "file": one.path.name,
        "program": one.program,
        "when": time.strftime("%Y-%m-%d %H:%M", time.localtime(one.start)),
        "length": fmt.duration(one.end - one.start),
        "size": fmt.size(sum(part.size for part in one.parts)),
    }
    facts = f"{fmt.several(number, 'process', 'processes')} in {fmt.several(workers, 'worker')}"
    facts += f"  begun {fmt.age(max(now - one.start, 0.0))} ago"
    return Choice(str(one.path), cells, (str(one.path), facts), "replays all workers: Enter goes into one")


def _is_recorded_set(path: str) -> bool:
    from monitor.recording.of_set import is_recorded_set

    return is_recorded_set(Path(path))


def _program(key: Hashable) -> Opened:
    from monitor.attach.injector import Injector
    from monitor.attach.target_connector import TargetConnector
    from monitor.sources.live import LiveSource
    from monitor.tui.base.choices import Opened

    connector = TargetConnector(str(key), injector=Injector())
    return Opened(LiveSource(connector.reconnect, first=connector.connect()))


def _recording(key: Hashable) -> Opened:
    from monitor.attach.boxes import is_box
    from monitor.recording.source import open_end, open_recording
    from monitor.tui.base.choices import Opened

    return Opened((open_end if is_box(Path(str(key))) else open_recording)(str(key)))


def _box_elsewhere(box: Box, via: str) -> Opened:
    from monitor.attach.boxes_elsewhere import copied
    from monitor.recording.source import open_end
    from monitor.tui.base.choices import Opened

    with contextlib.ExitStack() as stack:
        source = open_end(stack.enter_context(copied(box, via)))
        return Opened(source, close=stack.pop_all().close)


def _sample(key: Hashable) -> Opened:
    from monitor.attach.launch import Launch, Settings
    from monitor.cli.run_dashboard import start_below
    from monitor.tui.base.choices import Opened
    from sample_apps.catalogue import LOOKED_AT

    name = str(key)
    argv = (sys.executable, "-P", "-m", f"sample_apps.{name}", "--seconds", f"{LOOKED_AT:g}")
    program, source = start_below(Launch(argv, Settings(name=name, expect=10.0)))
    if program.wait(FIRST_MOMENT):
        program.close()
        last = next((line.strip() for line in reversed(program.last_output()) if line.strip()), "")
        raise LooptopError(f"the sample {name} has ended at once", last or program.how_it_ended() or "")
    return Opened(source, program, program.close)
