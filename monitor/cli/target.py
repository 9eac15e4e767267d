"""The TARGET argument of commands: its options, connecting to it, and opening the dashboard on it."""

from __future__ import annotations

import os
import shlex
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.via import VIA, via_option
from monitor.errors import ConnectError, UsageError
from monitor.guard import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from monitor.attach.boxes import Box
    from monitor.attach.injector import Injector
    from monitor.attach.target_connector import TargetConnector
    from monitor.fleet.members import Members
    from monitor.recording.of_set import RecordedSet
    from monitor.transport.address import Address
    from monitor.transport.connection import Connection


def placed(
    context: click.Context, _parameter: click.Parameter, value: str | tuple[str, ...] | None
) -> str | tuple[str, ...] | None:
    """TARGETs on the other side of `--via`, and of ssh://HOST/TARGET, as `TARGET via COMMAND`."""
    if value is None:
        return None
    if not isinstance(value, str):
        return placed_all(value, context)
    found = placed_all((value,), context)
    if len(found) > 1:
        raise UsageError("this command takes one program", "give --via once")
    return found[0]


def placed_all(targets: Iterable[str], context: click.Context | None = None) -> tuple[str, ...]:
    """Each TARGET on the other side of each `--via` of this command line."""
    from monitor.remote.place import join, split

    commands: tuple[str, ...] = (context or click.get_current_context()).meta.get(VIA, ())
    found: list[str] = []
    for text in targets:
        there = split(text)
        if there is not None and commands:
            raise UsageError(f"{text}: that is elsewhere already", "leave --via out")
        found += [join(text, command) for command in commands] if commands else [join(*there) if there else text]
    return tuple(found)


targets_argument = click.argument("targets", nargs=-1, required=True, metavar="TARGET...", callback=placed)
target_argument = click.argument("target", callback=placed)


def _take_cafile(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    """Pass it on as the environment variable, for as long as the command runs."""
    if value is None:
        return
    before = os.environ.get(CAFILE)
    os.environ[CAFILE] = value

    def restore() -> None:
        if before is None:
            os.environ.pop(CAFILE, None)
        else:
            os.environ[CAFILE] = before

    context.call_on_close(restore)


CAFILE = "LOOPTOP_CAFILE"
_cafile_option = click.option(
    "--cafile",
    metavar="FILE",
    expose_value=False,
    callback=_take_cafile,
    help="Trusted certificates for a program on TCP with TLS; `system`: those of this machine.",
)


def remote_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of commands that can look at other machines."""
    return via_option(_cafile_option(command))


token_option = click.option("--token-file", metavar="FILE", help="File with the token, for a program on TCP.")
read_only_option = click.option(
    "--read-only", is_flag=True, help="Inject nothing: only read its tasks from outside (Python 3.14+)."
)


at_option = click.option(
    "--at", metavar="T", help="Time in a recording: seconds since its start (90, 2m), or a clock time."
)


def set_of(targets: Sequence[str]) -> Members | None:
    """The set of processes that TARGETs name; None for a single program or recording.

    Raises UsageError for a recording among several.
    """
    from monitor.attach.targets import recording
    from monitor.fleet.members import Members

    if len(targets) == 1 and recording(targets[0]) is not None:
        return None
    members = Members(targets)
    if not members.is_set:
        return None
    for target in targets:
        if recording(target) is not None:
            raise UsageError(f"{target} is a recording", "a set is of programs that run")
    return members


def recorded_set(targets: Sequence[str]) -> RecordedSet | None:
    """The folder with the recordings of a set that the only TARGET names; None for anything else."""
    from pathlib import Path

    (target, *others) = targets
    if others or target.startswith(("unix:", "@")) or (target.isascii() and target.isdigit()):
        return None
    if not os.path.isdir(target):  # noqa: PTH112 - a target may be no path at all
        return None
    from monitor.recording.of_set import is_recorded_set, open_set

    return open_set(Path(target)) if is_recorded_set(Path(target)) else None


def only_recorded(at: str | None) -> None:
    """Raise UsageError for an option that only applies to a recording."""
    if at is not None:
        raise UsageError("--at is for a recording", "these are programs that run")


def recording_of(target: str, at: str | None = None) -> Path | None:
    """The recording that a TARGET names; None for a running program. Raises UsageError if `at` is given for one."""
    from monitor.attach.targets import recording

    path = recording(target)
    if path is None and at is not None:
        raise UsageError("--at is for a recording", f"{target} is not one")
    if path is None:
        _refuse_ended(target)
    return path


def _refuse_ended(target: str) -> None:
    """Raise ConnectError if all that is known of a program is its black box, which this command takes as a recording.

    A name may be that of a program that runs without a probe, too.
    """
    from monitor.attach import boxes
    from monitor.fleet.expansion import members_now

    is_pid = target.isascii() and target.isdigit()
    if not (is_pid or target.startswith("@")):
        return
    try:
        box = boxes.find(target)
    except UsageError:
        return
    if Path(f"/proc/{target}").exists() if is_pid else members_now(target):
        return
    command = click.get_current_context().info_name
    look = f"looptop {command} {shlex.quote(str(box.path))}, or looptop postmortem {target}"
    if is_pid:
        raise ConnectError(f"{target} has ended ({box.how})", look)
    raise ConnectError(f"no running program is called {target}", _instead_of(box, look))


def _instead_of(box: Box, look: str) -> str:
    """The next step where nothing but a black box has the name that is asked for; `look`: how to read that."""
    from monitor.attach.find import process_started
    from monitor.attach.programs import programs

    heading = box.heading
    if heading.started and process_started(heading.pid, heading.started):
        return f"process {heading.pid} was, and has no probe now: looptop attach {heading.pid}"
    last = f"the last of that name was {heading.pid} ({box.how}): {look}"
    same = [
        str(one.pid)
        for one in programs()
        if one.name is None and one.watchable and heading.program and one.command.endswith(f" {heading.program}")
    ]
    if len(same) == 1:
        return f"process {same[0]} runs the same command without a probe: looptop attach {same[0]}; {last}"
    if same:
        return f"processes {', '.join(same)} run the same command without a probe: looptop attach PID; {last}"
    return f"{last}; one that runs without a probe: looptop attach PID (looptop ps lists them)"


locals_option = click.option(
    "--locals",
    "keep_locals",
    is_flag=True,
    help="Keep local variables of failing tasks; values that look secret are masked.",
)


def connect(target: str, token_file: str | None, injector: Injector | None = None) -> Connection:
    """Connect to a TARGET; `injector` puts a probe into a pid that has none. Raises LooptopError."""
    from monitor.attach.target_connector import open_target

    return open_target(target, token_file, injector)


MOST_KNOWN = 10_000
"""Processes whose connectors are kept. One that is older is entered again if its connection breaks."""
_INJECTING = threading.BoundedSemaphore(max(os.cpu_count() or 1, 2))
"""Each injection keeps a processor busy. With all processes of a large set at once none would be in before the last."""


class Connector:
    """Opens the connections to the processes of a set, from any thread; injects a probe where there is none."""

    def __init__(
        self, token_file: str | None = None, read_only: bool = False, injector: Injector | None = None
    ) -> None:
        """`injector`: how a probe is put in; without it as usual, and what a person should know of it is printed."""
        self._token_file = token_file
        self._injector = injector
        self._read_only = read_only
        self._connectors: dict[str, TargetConnector] = {}
        self._images: dict[str, tuple[str, str] | None] = {}
        self._entered: set[str] = set()

    def __call__(self, target: str) -> Connection:
        """Connect to one of them, now or again. Raises LooptopError.

        A probe is injected the first time, and when the process has executed another program; one that somebody has
        removed stays out.
        """
        from monitor.errors import NoProbe

        connector = self._connectors.get(target)
        if connector is None:
            return self.first(target)
        try:
            return connector.reconnect()
        except NoProbe:
            image = _image_of(target)
            if image is None or image == self._images.get(target):
                raise
        return self.first(target)

    def first(self, target: str) -> Connection:
        """Connect to one of them; a probe is injected if there is none."""
        from monitor.attach.target_connector import TargetConnector

        connector = TargetConnector(target, self._token_file, _noting(self._injector, self._entered), self._read_only)
        connection = connector.connect()
        self._connectors[target] = connector
        self._images[target] = _image_of(target)
        while len(self._connectors) > MOST_KNOWN:  # processes come and go for months
            with suppress(KeyError, RuntimeError, StopIteration):  # another thread was faster
                oldest = next(iter(self._connectors))
                self._images.pop(oldest, None)
                del self._connectors[oldest]
        return connection

    def entering(self, target: str) -> bool:
        """Whether a probe is being injected into it, or is about to be; that must not be interrupted."""
        return target in self._entered


def _image_of(target: str) -> tuple[str, str] | None:
    from monitor.attach.processes import image_of

    return image_of(int(target)) if target.isascii() and target.isdigit() else None


def _noting(injector: Injector | None, entered: set[str]) -> Injector:
    from monitor.attach.injector import Injector

    class TrackingInjector(Injector):
        """Tracks the processes with an injection in progress."""

        def inject(self, pid: int) -> Address:
            entered.add(str(pid))
            try:
                with _INJECTING:
                    return super().inject(pid)
            finally:
                entered.discard(str(pid))

    if injector is None:
        return TrackingInjector(notify=say)
    return TrackingInjector(injector.method, injector.timeout, injector.force, injector.stay, injector.notify)


def open_dashboard(connector: TargetConnector, keep_locals: bool = False) -> int:
    """Open the dashboard on a running program; problems with the target are reported before it opens."""
    from monitor.cli.home import connect_screen
    from monitor.findings import thresholds
    from monitor.sources.live import LiveSource

    thresholds.load()  # reports an invalid file before a probe is injected

    from monitor.tui import FIRST_WATCH, run_dashboard

    source = LiveSource(connector.reconnect, first=connector.connect())
    source.watch(**FIRST_WATCH)
    source.start()  # the first frames arrive while the screens are loading
    from monitor.attach.programs import where_loops_are
    from monitor.remote import place

    there = place.split(connector.target)
    return run_dashboard(
        source,
        home=connect_screen if there is None else partial(connect_screen, via=there[1]),
        keep_locals=keep_locals,
        loops_below=where_loops_are if there is None else None,
    )
