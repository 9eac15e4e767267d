"""`looptop check`: static analysis, used like a linter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from monitor.cli.output import json_option, print_lines
from monitor.guard import say

if TYPE_CHECKING:
    from monitor.check.rules import Version

FOUND = 1
"""Exit status if there is at least one finding."""


@click.command()
@click.argument("paths", nargs=-1, metavar="PATH…")
@click.option("--python", metavar="3.X", help="Target Python version (from pyproject.toml, else this one).")
@click.option(
    "--select", multiple=True, metavar="CODE", help="Check only these rules; LT1 means all that begin with it."
)
@click.option("--ignore", multiple=True, metavar="CODE", help="Skip these rules.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Skip these files or folders, for example tests.")
@json_option
@click.option("--sarif", is_flag=True, help="Print SARIF 2.1.0, for code hosts.")
@click.option("--rules", "only_rules", is_flag=True, help="Print the rules and exit.")
def check(
    paths: tuple[str, ...],
    python: str | None,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    exclude: tuple[str, ...],
    as_json: bool,
    sarif: bool,
    only_rules: bool,
) -> int:
    """Read source and list old-style and risky asyncio, without running it.

    The exit status is 1 if something is found. A line that ends with `# noqa: LT10` (or ruff's own code) is left alone.
    """
    from monitor.check.analysis import CheckOptions
    from monitor.check.analysis import check as analyse
    from monitor.errors import UsageError
    from monitor.plain import check as plain

    if only_rules:
        _print_rules(as_json)
        return 0
    if not paths:
        raise UsageError("nothing to check", "looptop check PATH…, for example looptop check .")
    if as_json and sarif:
        raise UsageError("--json and --sarif", "choose one of them")
    report = analyse(paths, CheckOptions(_version(python), _codes(select), _codes(ignore), exclude))
    for note in report.notes:
        say(note)
    if as_json or sarif:
        from monitor.check.sarif import log
        from monitor.plain.objects import dump
        from probes.base.protocol import VERSION

        click.echo(dump(log(report, VERSION) if sarif else plain.objects(report)))
    else:
        from monitor import terminal

        print_lines(list(plain.lines(report, terminal.colour_here())))
    return FOUND if report.found else 0


def _print_rules(as_json: bool) -> None:
    from monitor.plain import check as plain

    if as_json:
        from monitor.plain.objects import dump

        click.echo(dump(plain.rules_object()))
    else:
        print_lines(list(plain.rules()))


def _codes(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(code for text in given for code in text.replace(",", " ").split())


def _version(text: str | None) -> Version | None:
    from monitor.errors import UsageError

    if text is None:
        return None
    major, dot, minor = text.partition(".")
    if major != "3" or not dot or not minor.isdecimal():
        raise UsageError(f"--python {text}", "write it as 3.11")
    return 3, int(minor)
