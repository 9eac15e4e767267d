"""Where the other Pythons of this machine are."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

VERSIONS = tuple(os.environ.get("TEST_PYTHONS", "3.11 3.12 3.13").split())
"""Those of the tests. A `t` at the end is a free-threaded build: `TEST_PYTHONS=3.14t` runs all tests on that."""
FREE_THREADED = ("3.13t", "3.14t")


def version_of(python: str) -> tuple[int, ...]:
    """The version of one of the Pythons that were found."""
    versions = (version for version in VERSIONS if find_python(version) == python)
    return tuple(map(int, next(versions).removesuffix("t").split(".")))


@cache
def find_python(version: str) -> str | None:
    """An interpreter of that version: this one, one of pyenv's, or one on PATH that says so when it is asked."""
    if version == "{}.{}".format(*sys.version_info):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    unpacked = Path(os.environ.get("PYTHONS_FOLDER") or cache_home / "looptop-pythons")  # by tests/pythons.sh
    candidates = sorted(pyenv.glob(f"{version}*/bin/python{version}"), reverse=True)
    candidates.append(unpacked / version / "bin" / f"python{version}")
    candidates += [Path(entry) / f"python{version}" for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    for candidate in candidates:
        if not candidate.exists():
            continue
        code = "import sys; print('{}.{}'.format(*sys.version_info) + 't' * ('t' in sys.abiflags))"
        try:
            asked = subprocess.run([str(candidate), "-c", code], capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if asked.stdout.strip() == version:
            return str(candidate)
    return None
