"""`looptop samples` and `looptop demo`: small programs that each show one behaviour."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.launching import watch_program
from monitor.cli.output import json_option, print_lines, print_look, print_object
from monitor.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.attach.launch import Launch
    from sample_apps.catalogue import Sample


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
    """List the samples: topic, name, its pair (its fix, or what it fixes), and what it shows."""
    return _list_samples(as_json)


@samples.command("run", context_settings={"ignore_unknown_options": True})
@click.option(
    "--headless", is_flag=True, help="No dashboard: run only the sample, and print on stderr where to connect."
)
@click.option("--record", metavar="FILE", help="Record the whole run to a file.")
@click.argument("name")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def samples_run(name: str, headless: bool, record: str | None, arguments: tuple[str, ...]) -> int:
    """Run a sample and watch it. What follows NAME is passed to the sample (try --seconds 60)."""
    from monitor import terminal
    from sample_apps.catalogue import LOOKED_AT

    if not headless and isinstance(terminal.decide_here(), terminal.Tui):
        arguments = ("--seconds", f"{LOOKED_AT:g}", *arguments)  # the last of two --seconds wins
    return watch_program(sample_launch(name, arguments), headless, record)


@samples.command("check")
@click.option("--jobs", type=click.IntRange(1, 64), metavar="N", help="Run N samples at a time (four per core).")
@click.option(
    "--again",
    type=click.IntRange(0, 9),
    default=2,
    help="Rerun a sample that misses something up to N times, alone (2).",
)
@click.option("--seconds", type=click.FloatRange(1, 3600), metavar="S", help="Watch each for S seconds (usually 3).")
@json_option
@click.argument("names", metavar="[NAME]...", nargs=-1)
def samples_check(names: tuple[str, ...], jobs: int | None, again: int, seconds: float | None, as_json: bool) -> int:
    """Run samples under the probe and check their expectations: all samples, or the named ones.

    Exit status 1 if an expectation is missed.
    """
    from monitor import terminal
    from monitor.plain.sample_objects import check_object
    from monitor.samples.check import JOBS, check
    from monitor.samples.observe import observe

    chosen = [_find(name) for name in dict.fromkeys(names)] if names else _catalogue()
    width, colour = terminal.width_here(), terminal.colour_here()
    results = []
    stop = threading.Event()
    for result in check(chosen, jobs or JOBS, again, partial(observe, seconds=seconds, stop=stop), stop):
        results.append(result)
        if not as_json:
            from monitor.plain.samples import result_lines

            print_lines(result_lines(result, width, colour))
    if as_json:
        from monitor.plain.objects import dump

        click.echo(dump(check_object(results)))
    else:
        from monitor.plain.samples import summary

        print_lines([summary(results)])
    return 0 if all(result.good for result in results) else 1


@samples.command("show")
@click.argument("name")
def samples_show(name: str) -> int:
    """Print the source of a sample, with the lines marked that expectations refer to."""
    from monitor import terminal
    from monitor.plain.samples import source

    print_lines(source(_find(name), terminal.colour_here()))
    return 0


def _list_samples(as_json: bool) -> int:
    from monitor.plain.sample_objects import listing_object

    listed = _catalogue()

    def lines(width: int, colour: bool) -> list[str]:
        from monitor.plain.samples import listing  # imports Rich, which JSON does not need

        return listing(listed, width, colour)

    print_object(as_json, lambda: listing_object(listed), lines)
    return 0


def _catalogue() -> list[Sample]:
    from sample_apps.catalogue import BadSample
    from sample_apps.catalogue import samples as all_of_them

    try:
        return all_of_them()
    except BadSample as error:
        raise UsageError(str(error), "mend the declaration") from None


def _find(name: str) -> Sample:
    from sample_apps.catalogue import BadSample, UnknownSample, find

    try:
        return find(name)
    except UnknownSample as error:
        raise UsageError(str(error), "looptop samples list") from None
    except BadSample as error:
        raise UsageError(str(error), "mend the declaration") from None


def sample_launch(name: str, arguments: Sequence[str], settings: Any = None) -> Launch:
    """Launch a sample with looptop's own interpreter."""
    from monitor.attach.launch import Launch, Settings
    from monitor.samples.observe import argv_of

    return Launch(argv_of(_find(name), *arguments), settings or Settings(name=name, expect=10.0))
