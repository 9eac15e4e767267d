"""`looptop config`: prints the thresholds of findings as a configuration file to start from."""

from __future__ import annotations

import os

import click

from monitor.cli.output import print_lines


@click.command()
def config() -> int:
    """Print the current thresholds of findings as a configuration file."""
    from pathlib import Path

    from monitor.findings import thresholds

    found = thresholds.load()
    read = [f"# from {path}" for path in found.files] or ["# the defaults: there is no configuration file"]
    wanted = " and ".join(str(path) for path in thresholds.places(os.environ, Path()))
    print_lines([f"# looptop reads {wanted}; the last one wins.", *read, "", *thresholds.as_toml(found)])
    return 0
