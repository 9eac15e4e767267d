"""The dashboard and the connect screen. The command line uses `run_dashboard` and `run_connect` only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from monitor.fleet.service import Service
    from monitor.recording.player import Playable
    from monitor.sources.base import Source
    from monitor.tui.base.choices import ChoiceProvider, Opened, OpenedSet
    from monitor.tui.base.program import Program

WORKERS = "workers"
"""Where a person goes for the workers of a process without a loop."""
HZ = 4.0
"""Ticks a second."""
FIRST_WATCH: dict[str, object] = {"rate": HZ, "findings": True}
"""The first subscription of a live source, sent before the dashboard is loaded, which adds the rest."""


def run_dashboard(
    source: Source,
    *,
    program: Program | None = None,
    hz: float = HZ,
    home: Callable[[str], int] | None = None,
    asks: bool = True,
    keep_locals: bool = False,
    loops_below: Callable[[int], str] | None = None,
    among: bool = False,
    workers: Callable[[], int] | None = None,
) -> int:
    """Shows the dashboard until the user quits; returns the exit status to use.

    Starts the source and closes it, whatever happens. Raises UsageError for a configuration file that cannot be taken,
    CrashError when the dashboard itself fails. The caller has made sure that there is a terminal. The status is that of
    the program where looptop runs one and it has ended, 128+n after a signal, else 0. With `home` the person may leave
    for a section of the connect screen: then it is called, and its status is returned. `asks`: whether to leave a
    program that runs takes a question. `keep_locals`: whether the local names of what fails are kept from the start.
    `among`: it is one worker of a service, to whose screen the person may go back: `home` is called with `service`,
    `previous` or `next`.
    `workers` shows the workers of a process that has no loop itself, and returns the exit status.
    `loops_below` says in lines which child processes of a process have loops; empty where none has.
    """
    from monitor.findings.thresholds import load
    from monitor.tui.app import Looptop  # here, because importing Textual costs 300 ms

    try:
        app = Looptop(
            source,
            hz=hz,
            program=program,
            thresholds=load(),
            home=home is not None,
            asks=asks,
            keep_locals=keep_locals,
            loops_below=loops_below,
            among=among,
            shows_workers=workers is not None,
            no_color="NO_COLOR" in os.environ,
        )
        app.show()
    finally:
        source.close()
    if app.return_code:
        return app.return_code
    if workers is not None and app.wanted == WORKERS:
        return workers()
    if home is not None and app.wanted:
        return home(app.wanted)
    status = program.exit_status if program is not None and not program.running else None
    if status is None:
        return 0
    return 128 - status if status < 0 else status


def run_connect(home: ChoiceProvider, section: str, key: Hashable, where: str) -> tuple[int, Opened | OpenedSet | None]:
    """Shows the connect screen until a choice is opened or the user quits; returns exit status and choice."""
    from monitor.tui.connect import Connect

    app = Connect(home, section=section, key=key, where=where, no_color="NO_COLOR" in os.environ)
    opened = app.show()
    return app.return_code or 0, opened


def run_service(
    service: Service,
    open_worker: Callable[[int], Opened],
    slot: int | None = None,
    message: str = "",
    recorded: Playable | None = None,
) -> tuple[int, tuple[int, Opened] | None]:
    """Show all workers until one is opened or the user quits; return exit status, and slot and source of it."""
    from monitor.tui.service import ServiceApp

    app = ServiceApp(
        service, open_worker, slot=slot, message=message, no_color="NO_COLOR" in os.environ, recorded=recorded
    )
    chosen = app.show()
    return app.return_code or 0, chosen
