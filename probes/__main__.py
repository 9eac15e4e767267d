"""`LOOPTOP=1 python -m probes SCRIPT [ARG…]` or `-m MODULE [ARG…]`: runs a program with a probe in it.

Without LOOPTOP=1 the program runs without a probe, so that the command line need not change.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Replaces this process by the same interpreter running the program, as if started directly."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stderr.write("usage: python -m probes SCRIPT [ARG...] | -m MODULE [ARG...]\n")
        sys.exit(2)
    environ = dict(os.environ)
    if environ.get("LOOPTOP", "").lower() in ("1", "yes", "true", "on"):
        boot = os.path.join(os.path.dirname(os.path.abspath(__file__)), "boot")
        before = environ.get("PYTHONPATH")
        environ["PYTHONPATH"] = boot + os.pathsep + before if before else boot
        environ["LOOPTOP_BOOT"] = json.dumps({"pythonpath": before, "settings": {}})
    options = sys.orig_argv[1 : len(sys.orig_argv) - len(arguments) - 2]
    os.execve(  # noqa: S606
        sys.executable, [sys.executable, *options, *arguments], environ
    )


if __name__ == "__main__":
    main()
