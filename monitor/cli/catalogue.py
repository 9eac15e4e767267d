"""`looptop samples` and `looptop demo`: small programs that each show one behaviour."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.launching import watch_program
from monitor.cli.output import json_option, print_lines, print_look
from monitor.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.attach.launch import Launch


@click.command()
def demo() -> int:
    """Open the dashboard on a misbehaving sample program."""
    from monitor import terminal

    if isinstance(terminal.decide_here(), terminal.Tui):
        return watch_program(sample_launch("demo", ()), headless=False)
    from monitor.attach.launch import Settings
    from monitor.plain.demo import one_look

    return one_look(sample_launch("demo", (), Settings(name="demo", expect=30.0, announce=False)), print_look)


@click.group(invoke_without_command=True)
@click.pass_context
def samples(ctx: click.Context) -> int | None:
    """Small asyncio programs that each show one behaviour."""
    return _list_samples(as_json=False) if ctx.invoked_subcommand is None else None


@samples.command("list")
@json_option
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

    return watch_program(sample_launch(name, arguments, Settings(name=name, expect=10.0)), headless)


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

    print_lines(report(listed, terminal.width_here(), terminal.colour_here()))
    return 0


def sample_launch(name: str, arguments: Sequence[str], settings: Any = None) -> Launch:
    """A sample, by our own interpreter: `-P`, so that a folder of the same name in the current one is not taken."""
    from monitor.attach.launch import Launch, Settings
    from sample_apps.catalogue import UnknownSample, find

    try:
        sample = find(name)
    except UnknownSample as error:
        raise UsageError(str(error), "looptop samples list") from None
    argv = (sys.executable, "-P", "-m", f"sample_apps.{sample.name}", *arguments)
    return Launch(argv, settings or Settings(name=name, expect=10.0))
