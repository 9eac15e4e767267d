"""`python -m monitor.attach.inject PID [--method M] [--dry-run] [--timeout S] [--force]`: one attach, as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from monitor.attach.inject.helper import parser
from monitor.attach.inject.helper_client import inject
from monitor.attach.inject.payload import make
from monitor.errors import ConnectError


def main() -> int:
    """Attach once; the probe is removed if no viewer connects."""
    options = parser().parse_args()
    payload = make({"leave": True}, options.timeout)
    try:
        result = inject(options.pid, payload, options.method, options.timeout, options.force, options.dry_run)
    except ConnectError as error:
        sys.stdout.write(json.dumps({"ok": False, "message": error.message, "hint": error.hint}) + "\n")
        return error.status
    sys.stdout.write(json.dumps({"ok": True, **asdict(result)}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
