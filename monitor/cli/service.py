"""The Service screen on a set of programs, the dashboards of its workers, and the way back."""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from monitor.errors import ConnectError, LooptopError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from monitor.cli.target import Connector
    from monitor.fleet.members import Members
    from monitor.fleet.service import Service
    from monitor.recording.of_set import RecordedSet
    from monitor.recording.player import Playable
    from monitor.tui.base.choices import Opened

PAUSE = 0.25
STEPS = {"service": 0, "previous": -1, "next": 1}
"""Where a person goes from the dashboard of a worker, and how many slots further that is."""


def open_service(members: Members, connect: Connector, title: str) -> int:
    """Show all workers until the user quits. Returns the exit status."""
    from monitor.cli.home import connect_screen

    status, section = look_at_all(members, connect, title)
    return connect_screen(section) if section else status


def show_workers(target: str) -> tuple[int, str]:
    """Show the workers of a parent; the exit status, and the section of the connect screen that the person left for."""
    from monitor.attach.injector import Injector
    from monitor.cli.target import Connector
    from monitor.fleet.members import Members

    return look_at_all(Members([target]), Connector(injector=Injector()), target)


def show_set(what: str | Path) -> tuple[int, str]:
    """Show the workers of a parent, or replay the recorded set in a folder; returns the same."""
    if isinstance(what, str):
        return show_workers(what)
    from monitor.recording.of_set import open_set

    return look_at_recorded(open_set(what))


def look_at_all(members: Members, connect: Connector, title: str) -> tuple[int, str]:
    """The same of any set."""
    from monitor.findings import thresholds
    from monitor.fleet.base import ASKED, WITH_HOOKS_IN_C
    from monitor.fleet.fleet import Fleet
    from monitor.fleet.service import Service

    limits = thresholds.load()
    with closing(Fleet(members, connect, ASKED, WITH_HOOKS_IN_C)) as fleet:
        service = Service(fleet, limits, title)
        service.step()  # the first screen has a row for each
        return _until_left(service, lambda slot: _opened(service, connect, slot), lambda _: _stepping(service))


def replay_set(recorded: RecordedSet, speed: float, begin: str | None) -> int:
    """Replay a recorded set until the user quits. Returns the exit status."""
    from monitor.cli.home import connect_screen

    status, section = look_at_recorded(recorded, speed, begin)
    return connect_screen(section) if section else status


def look_at_recorded(recorded: RecordedSet, speed: float = 1.0, begin: str | None = None) -> tuple[int, str]:
    """Replay it; the exit status, and the section of the connect screen that the person left for."""
    from monitor.findings import thresholds
    from monitor.fleet.recorded import RecordedFleet
    from monitor.fleet.service import Service
    from monitor.tui.base.choices import Opened

    limits = thresholds.load()
    fleet = RecordedFleet(recorded, speed, None if begin is None else recorded.moment(begin))
    with closing(fleet):
        service = Service(fleet, limits, str(recorded.path))
        service.step()

        def open_worker(slot: int) -> Opened:
            source = fleet.open(slot)
            if source is None:
                raise ConnectError("its recording has ended", "choose another worker")
            return Opened(source)

        @contextmanager
        def meanwhile(opened: Opened) -> Iterator[None]:
            yield
            fleet.go_on_from(opened.source)

        return _until_left(service, open_worker, meanwhile, fleet)


def _until_left(
    service: Service,
    open_worker: Callable[[int], Opened],
    meanwhile: Callable[[Opened], AbstractContextManager[None]],
    recorded: Playable | None = None,
) -> tuple[int, str]:
    """The exit status, and the section of the connect screen that the person left for.

    `meanwhile` is entered while the dashboard of a worker is shown.
    """
    from monitor.tui import run_service

    slot: int | None = None
    message = ""
    while True:
        status, chosen = run_service(service, open_worker, slot, message, recorded)
        if chosen is None:
            return status, ""
        message = ""
        while chosen is not None:
            slot, opened = chosen
            chosen = None
            with meanwhile(opened):
                status, where = _look_into(opened)
            if status or where not in STEPS:
                return status, where
            beside = service.beside(slot, STEPS[where]) if STEPS[where] else None
            if beside is not None:
                slot = beside
                try:
                    chosen = beside, open_worker(beside)
                except LooptopError as error:
                    message = f"worker {beside}: {error}"


def _look_into(opened: Opened) -> tuple[int, str]:
    """The dashboard of one worker: its exit status, and where the person went."""
    from monitor.tui import run_dashboard

    gone_to: list[str] = []

    def go(where: str) -> int:
        gone_to.append(where)
        return 0

    status = run_dashboard(opened.source, home=go, among=True)
    return status, gone_to[0] if gone_to else ""


def _opened(service: Service, connect: Connector, slot: int) -> Opened:
    """The dashboard's own connection to a worker. Raises LooptopError."""
    from monitor.sources.live import LiveSource
    from monitor.tui import FIRST_WATCH
    from monitor.tui.base.choices import Opened

    target = service.target(slot)
    if target is None:
        raise ConnectError("it has gone", "the one that takes its place is joined within a second")
    source = LiveSource(lambda: connect(target), first=connect(target))
    source.watch(**FIRST_WATCH)
    source.start()
    return Opened(source)


@contextmanager
def _stepping(service: Service) -> Iterator[None]:
    """Keep applying frames while another screen is shown."""
    done = threading.Event()

    def run() -> None:
        while not done.wait(PAUSE):
            service.step()

    thread = threading.Thread(target=run, name="looptop-service", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
