"""The commands. Imports nothing that a command does not need before it runs: `looptop --help` is as fast as Python."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from monitor.errors import LooptopError, UsageError
from monitor.guard import guarded, say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.attach.launch import Launch
    from monitor.plain.snapshot import Wanted
    from monitor.sources.address import Address
    from monitor.sources.connection import Connection

_token_option = click.option("--token-file", metavar="FILE", help="File with the token, for a program on TCP.")
_json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")


class ProgramCommand(click.Command):
    """A command whose options end where the program begins: all that follows belongs to the program."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Splits the line, and parses the part that is ours."""
        where = self._program_begins(args)
        ctx.meta["looptop.program"] = args[where:][1:] if args[where : where + 1] == ["--"] else args[where:]
        return super().parse_args(ctx, args[:where])

    def _program_begins(self, args: Sequence[str]) -> int:
        takes_value = {
            name
            for option in self.params
            if isinstance(option, click.Option) and not option.is_flag
            for name in option.opts
        }
        i = 0
        while i < len(args):
            word = args[i]
            if word == "--" or not word.startswith("-") or (word.startswith("-m") and not word.startswith("--")):
                return i
            i += 2 if word in takes_value else 1
        return len(args)


@click.group(
    invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="looptop", prog_name="looptop")
@click.pass_context
def cli(ctx: click.Context) -> int | None:
    """Top for the event loop: every task of a running asyncio program, and the line that blocks its loop.

    TARGET is a pid, unix:PATH, HOST:PORT or @NAME.
    """
    return _start() if ctx.invoked_subcommand is None else None


@cli.command(cls=ProgramCommand, options_metavar="[OPTIONS] [--] SCRIPT [ARG]... | -m MODULE [ARG]...")
@click.option("--headless", is_flag=True, help="No dashboard: only the program, and where to connect, on stderr.")
@click.option("--listen", metavar="HOST:PORT", help="Also listen on TCP; viewers need the token.")
@click.option("--record", metavar="FILE", help="Record all of it.")
@click.option("--name", help="Name to find the program by: @NAME.")
@click.option("--python", metavar="PATH", help="Interpreter; default: that of the active environment.")
@click.option("--slow", type=click.FloatRange(0.01), metavar="S", help="Threshold of slow callbacks (0.1).")
@_token_option
@click.pass_context
def run(
    ctx: click.Context,
    headless: bool,
    listen: str | None,
    record: str | None,
    name: str | None,
    python: str | None,
    slow: float | None,
    token_file: str | None,
) -> int:
    """Run a program and watch it. What follows SCRIPT or -m MODULE belongs to the program."""
    from monitor.attach.launch import Launch, Settings, check_listen, command

    if record is not None:
        raise UsageError("recording comes with a later version", "leave --record out")
    check_listen(listen)
    argv = command(python, ctx.meta["looptop.program"])
    settings = Settings(name=name, listen=listen, slow=slow, token_file=token_file)
    return _run(Launch(argv, settings), headless)


@cli.command()
@click.argument("target")
@click.option(
    "--method",
    type=click.Choice(("auto", "remote_exec", "ptrace", "gdb")),
    default="auto",
    help="How to get into a program that has no probe (auto).",
)
@click.option("--timeout", type=click.FloatRange(0.1, 60), default=5.0, metavar="S", help="For getting in (5).")
@click.option("--dry-run", is_flag=True, help="Only say what would be done, and why.")
@click.option("--force", is_flag=True, help="Even where the program has remote debugging disabled.")
@click.option("--stay", is_flag=True, help="Leave the probe in when the last viewer leaves.")
@_token_option
def attach(
    target: str, method: str, timeout: float, dry_run: bool, force: bool, stay: bool, token_file: str | None
) -> int:
    """Open the dashboard on a running program, whether it was started with looptop or not.

    A program without a probe gets one, and is rid of it when the last viewer leaves.
    """
    from monitor import terminal
    from monitor.attach.enter import Way
    from monitor.plain.snapshot import WHILE, Wanted

    way = Way(method, timeout, force, stay)
    if dry_run:
        if not target.isdigit():
            raise UsageError("--dry-run is for a pid", "looptop attach PID --dry-run")
        click.echo(way.plan(int(target)))
        return 0
    decision = terminal.decide_here()
    if not isinstance(decision, terminal.Tui):
        say(f"{decision.reason}: this is one table instead of the dashboard")
        return _tasks(_connect(target, token_file, way.enter), Wanted(measure=WHILE), as_json=False)
    return _dashboard(target, token_file, way.enter)


@cli.command()
@click.argument("target")
@_token_option
def detach(target: str, token_file: str | None) -> int:
    """Take the probe out of a program again."""
    from contextlib import closing

    from monitor.plain.snapshot import replies
    from monitor.store.store import Store

    connection = _connect(target, token_file)
    with closing(connection):
        connection.send({"type": "request", "id": 1, "op": "detach"})
        reply = replies(connection, Store(), 1)
        if not reply.ok:
            raise LooptopError(f"the probe of process {connection.hello.pid} stays", reply.error)
    click.echo(f"the probe of process {connection.hello.pid} is out")
    return 0


@cli.command()
@_json_option
def ps(as_json: bool) -> int:
    """List the Python programs on this machine, and for each whether and how it can be watched."""
    from dataclasses import asdict

    from monitor.attach.programs import programs

    listed = programs()
    if as_json:
        from monitor.plain.objects import dump

        click.echo(dump({"programs": [asdict(program) for program in listed]}))
        return 0
    _print_programs(listed)
    return 0


@cli.command()
@click.argument("target")
@_json_option
@click.option("--tree", is_flag=True, help="Each task below its parent.")
@click.option("--sort", default="busy", metavar="KEY", help="Column to sort by; -KEY turns the order round (busy).")
@click.option("--filter", "filter_", default="", metavar="TEXT", help="For example: state:waiting busy>0.5 name:job-*")
@click.option("--limit", type=click.IntRange(0), metavar="N", help="At most so many tasks.")
@click.option("--ended", is_flag=True, help="The tasks that have ended, too.")
@_token_option
def tasks(
    target: str,
    as_json: bool,
    tree: bool,
    sort: str,
    filter_: str,
    limit: int | None,
    ended: bool,
    token_file: str | None,
) -> int:
    """Print the tasks of a program, once."""
    from monitor.attach.enter import Way
    from monitor.plain.snapshot import MOMENT, WHILE, Wanted, validate

    measure = MOMENT if as_json else WHILE
    wanted = Wanted(sort=sort, filter=filter_, limit=limit, ended=ended, tree=tree, measure=measure)
    validate(wanted)
    return _tasks(_connect(target, token_file, Way().enter), wanted, as_json)


@cli.command()
@click.argument("target")
@_json_option
@click.option("--duration", type=click.FloatRange(0), metavar="S", help="Leave after so many seconds.")
@click.option("--slow", type=click.FloatRange(0.01), metavar="S", help="Threshold of slow callbacks (0.1).")
@_token_option
def watch(target: str, as_json: bool, duration: float | None, slow: float | None, token_file: str | None) -> int:
    """Print slow callbacks, ended tasks, exceptions and loop health, as they come.

    What the probe still remembers from before comes first.
    """
    from monitor.attach.enter import Way
    from monitor.plain import stream
    from monitor.plain.objects import dump

    for thing in stream.watch(_connect(target, token_file, Way().enter), duration, slow):
        if thing["type"] == "notice":
            say(thing["text"])
        else:
            print(dump(thing) if as_json else stream.line(thing), flush=True)  # noqa: T201 - this is the output
    return 0


@cli.command()
@click.argument("target")
@click.option("--duration", type=click.FloatRange(0.1, 86_400), default=10.0, metavar="S", help="How long (10).")
@click.option("--frames", type=click.IntRange(1, 25), default=1, metavar="N", help="Frames kept of each block (1).")
@click.option("--group", type=click.Choice(["lineno", "filename", "traceback"]), default="lineno")
@click.option("--limit", type=click.IntRange(1, 500), default=20, metavar="N", help="At most so many rows (20).")
@click.option("--hide", type=click.Choice(["stdlib", "packages"]), multiple=True, help="Leave these files out.")
@_json_option
@_token_option
def memory(
    target: str,
    duration: float,
    frames: int,
    group: str,
    limit: int,
    hide: tuple[str, ...],
    as_json: bool,
    token_file: str | None,
) -> int:
    """Print which lines of a program make its memory grow.

    Traces its allocations for a while (tracemalloc), which makes its steps several times as dear meanwhile.
    """
    from monitor.attach.enter import Way
    from monitor.plain import memory as plain

    wanted = plain.Wanted(duration, frames, group, limit, ("probe", *hide))
    growth = plain.measure(_connect(target, token_file, Way().enter), wanted)
    for note in growth.notes:
        say(note)
    _print_object(as_json, lambda: plain.growth_object(growth), lambda *how: plain.growth_lines(growth, *how))
    return 0


@cli.command()
@click.argument("target")
@click.option("--calls", type=click.IntRange(0, 1000), default=100, metavar="N", help="Newest calls in JSON (100).")
@_json_option
@_token_option
def profile(target: str, calls: int, as_json: bool, token_file: str | None) -> int:
    """Print what functions decorated with probes.profile_time or profile_memory took."""
    from monitor.plain import memory as plain

    store = plain.profiles(_connect(target, token_file), calls if as_json else 0)
    _print_object(as_json, lambda: plain.profiles_object(store), lambda *how: plain.profiles_lines(store, *how))
    return 0


@cli.command()
def demo() -> int:
    """Open the dashboard on a misbehaving sample program."""
    from monitor import terminal

    if isinstance(terminal.decide_here(), terminal.Tui):
        return _run(_sample_launch("demo", ()), headless=False)
    from monitor.attach.launch import Settings
    from monitor.plain.demo import one_look

    return one_look(_sample_launch("demo", (), Settings(name="demo", expect=30.0, announce=False)), _print_look)


@cli.group(invoke_without_command=True)
@click.pass_context
def samples(ctx: click.Context) -> int | None:
    """Small asyncio programs that each show one behaviour."""
    return _list_samples(as_json=False) if ctx.invoked_subcommand is None else None


@samples.command("list")
@_json_option
def samples_list(as_json: bool) -> int:
    """List the samples."""
    return _list_samples(as_json)


@samples.command("run", context_settings={"ignore_unknown_options": True})
@click.option("--headless", is_flag=True, help="No dashboard: only the sample, and where to connect, on stderr.")
@click.argument("name")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def samples_run(name: str, headless: bool, arguments: tuple[str, ...]) -> int:
    """Run a sample and watch it. What follows belongs to the sample (try --seconds 60)."""
    from monitor.attach.launch import Settings

    return _run(_sample_launch(name, arguments, Settings(name=name, expect=10.0)), headless)


def _list_samples(as_json: bool) -> int:
    from sample_apps.catalogue import samples as catalogue

    listed = catalogue()
    if as_json:
        from monitor.plain.objects import dump

        fields = ("name", "topic", "sentence", "cure")
        click.echo(dump({"samples": [{field: getattr(sample, field) for field in fields} for sample in listed]}))
        return 0
    from monitor import terminal
    from monitor.plain.reports import samples as report

    _print(report(listed, terminal.width_here(), terminal.colour_here()))
    return 0


def _sample_launch(name: str, arguments: Sequence[str], settings: Any = None) -> Launch:
    """A sample, by our own interpreter: `-P`, so that a folder of the same name in the current one is not taken."""
    from monitor.attach.launch import Launch, Settings
    from sample_apps.catalogue import UnknownSample, find

    try:
        sample = find(name)
    except UnknownSample as error:
        raise UsageError(str(error), "looptop samples list") from None
    argv = (sys.executable, "-P", "-m", f"sample_apps.{sample.name}", *arguments)
    return Launch(argv, settings or Settings(name=name, expect=10.0))


def _start() -> int:
    """`looptop` alone: the dashboard on the one program there is, else what there is and what to do."""
    from monitor import terminal
    from monitor.attach.find import probes
    from monitor.attach.programs import programs

    found = probes().probes
    if len(found) == 1 and isinstance(terminal.decide_here(), terminal.Tui):
        return _dashboard(str(found[0].pid), None)
    _print_programs(programs())
    next_step = "looptop attach PID" if found else "looptop run SCRIPT, or looptop demo"
    say(f"next: {next_step}")
    return 0


def _run(launch: Launch, headless: bool) -> int:
    """A program under the dashboard, or in our place."""
    from monitor import terminal

    decision = terminal.decide_here()
    if not headless and not isinstance(decision, terminal.Tui):
        say(f"{decision.reason}: running as with --headless")
        headless = True
    if headless:
        launch.become()
    from monitor.attach.below import run_below

    return run_below(launch)


def _connect(target: str, token_file: str | None, enter: Callable[[int], Address] | None = None) -> Connection:
    from monitor.sources.connection import connect
    from monitor.targets import resolve

    return connect(resolve(target, enter=enter), token_file)


def _dashboard(target: str, token_file: str | None, enter: Callable[[int], Address] | None = None) -> int:
    """The dashboard on a running program; what is wrong with the target is told before it opens.

    A probe is put in once: one that was taken out again is not put back because a screen is still open.
    """
    from monitor.sources.live import LiveSource

    source = LiveSource(lambda: _connect(target, token_file), first=_connect(target, token_file, enter))
    from monitor.tui import run_dashboard

    return int(run_dashboard(source, program=None))


def _tasks(connection: Connection, wanted: Wanted, as_json: bool) -> int:
    from monitor.plain.snapshot import look

    seen = look(connection, wanted)
    if as_json:
        from monitor.plain.objects import dump, snapshot

        click.echo(dump(snapshot(seen.store, seen.tasks, seen.ended)))
        return 0
    _print_look(seen)
    return 0


def _print_object(as_json: bool, thing: Callable[[], Any], lines: Callable[[int, bool], Sequence[str]]) -> None:
    if as_json:
        from monitor.plain.objects import dump

        click.echo(dump(thing()))
        return
    from monitor import terminal

    _print(lines(terminal.width_here(), terminal.colour_here()))


def _print_look(seen: Any) -> None:
    from monitor import terminal
    from monitor.plain.reports import tasks as report

    _print(report(seen, terminal.width_here(), terminal.colour_here()))


def _print_programs(listed: Any) -> None:
    from monitor import terminal
    from monitor.plain.reports import programs as report

    _print(report(listed, terminal.width_here(), terminal.colour_here()))


def _print(lines: Sequence[str]) -> None:
    sys.stdout.write("".join(line + "\n" for line in lines))
    sys.stdout.flush()


def main(args: Sequence[str] | None = None) -> int:
    """The command `looptop`: its exit status."""
    return guarded(lambda: _invoke(sys.argv[1:] if args is None else list(args)))


def _invoke(args: list[str]) -> int:
    with cli.make_context("looptop", args) as context:
        status = cli.invoke(context)
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())
