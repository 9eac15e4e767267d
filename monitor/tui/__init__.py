"""The dashboard. `run_dashboard` is all that the command line needs of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.sources.base import Source
    from monitor.tui.program import Program


def run_dashboard(source: Source, *, program: Program | None = None, hz: float = 4.0) -> int:
    """Shows the dashboard until the person leaves; returns the exit status to use.

    Starts and closes the source. The caller has made sure that there is a terminal. The status is that of the
    program where looptop runs one and it has ended, 128+n after a signal, else 0.
    """
    from monitor.tui.app import Looptop  # here, because importing Textual costs 300 ms

    app = Looptop(source, hz=hz, program=program, no_color="NO_COLOR" in os.environ)
    try:
        app.run()
    finally:
        source.close()
    if app.return_code:
        return app.return_code
    status = program.exit_status if program is not None and not program.running else None
    if status is None:
        return 0
    return 128 - status if status < 0 else status
