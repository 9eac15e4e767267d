"""Prints the result of a command: JSON if requested, else lines that fit the terminal's width and colours."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def print_object(as_json: bool, thing: Callable[[], Any], lines: Callable[[int, bool], Sequence[str]]) -> None:
    """Print one object as JSON, or as `lines(width, colour)`."""
    if as_json:
        from monitor.plain.objects import dump

        click.echo(dump(thing()))
        return
    from monitor import terminal

    print_lines(lines(terminal.width_here(), terminal.colour_here()))


def print_look(seen: Any) -> None:
    """Print a task list as a table."""
    from monitor import terminal
    from monitor.plain.reports import tasks as report

    print_lines(report(seen, terminal.width_here(), terminal.colour_here()))


def print_programs(listed: Any, slots: Any = None) -> None:
    """Print the programs found as a table; `slots`: of a set, the worker that each pid is."""
    from monitor import terminal
    from monitor.plain.programs import programs as report

    print_lines(report(listed, terminal.width_here(), terminal.colour_here(), slots))


def print_lines(lines: Sequence[str]) -> None:
    """Print lines and flush."""
    sys.stdout.write("".join(line + "\n" for line in lines))
    sys.stdout.flush()
