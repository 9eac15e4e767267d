"""Builds the native hooks. All else is in pyproject.toml; without a compiler looptop works with hooks in Python."""

import os
import sys
from hashlib import sha256
from pathlib import Path

from setuptools import Extension, setup

BUILD = sha256(b"".join(path.read_bytes() for path in sorted(Path("probes/hooks/native").glob("*.[ch]")))).hexdigest()[
    :16
]

STRICT = os.environ.get("LOOPTOP_STRICT", "") not in ("", "0")
"""For tests: a warning is an error, and so is a build that fails. Not for users: new compilers have new warnings."""
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"]  # CPython says which parameters a function has
NO_PLT = ["-fno-plt"] if sys.platform == "linux" else []  # calls to Python then touch one line of code less

HOT = Extension(
    "probes.hooks._native",
    sources=sorted(map(str, Path("probes/hooks/native").glob("*.c"))),
    depends=sorted(map(str, Path("probes/hooks/native").glob("*.h"))),
    define_macros=[
        ("Py_LIMITED_API", "0x030B0000"),  # one file for every CPython from 3.11 on
        ("LOOPTOP_BUILD", f'"{BUILD}"'),  # attach compares it
    ],
    py_limited_api=True,
    extra_compile_args=[]
    if sys.platform == "win32"
    else ["-O2", "-fvisibility=hidden", *NO_PLT, *(WARNINGS if STRICT else [])],
    optional=not STRICT,
)

setup(ext_modules=[HOT], options={"bdist_wheel": {"py_limited_api": "cp311"}})
