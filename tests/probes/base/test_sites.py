"""Which files are the user's."""

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from probes.base import sites

ROOT = Path(__file__).parents[3]


def test_a_program_that_makes_code_under_ever_new_names_is_remembered_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sites, "MOST_FILES", 10)
    files = sites._Files()
    assert {files[f"<template {number}>"] for number in range(95)} == {sites.USER}
    assert len(files) == 5
    assert files[sites.__file__] != sites.USER


def test_code_that_is_made_ever_anew_is_not_kept(monkeypatch):
    monkeypatch.setattr(sites, "MOST_CODES", 50)
    tables, alive = sites.Tables(), []
    for number in range(500):
        namespace = {}
        exec(compile(f"def made_{number % 20}():\n    pass", "generated.py", "exec"), namespace)
        code = namespace[f"made_{number % 20}"].__code__
        alive.append(weakref.ref(code))
        assert tables.site_at(code, 0) == tables.site_at(code, 0) == 1 + number % 20
    del namespace, code
    gc.collect()
    assert sum(ref() is not None for ref in alive) <= 50


LIBRARY = "/env/lib/python3.12/site-packages"
STDLIB = os.path.dirname(os.__file__)


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("/srv/app/main.py", sites.USER),
        ("/srv/asyncio/main.py", sites.USER),  # a folder that is only called so
        ("/srv/aiohttp/main.py", sites.USER),
        (f"{LIBRARY}/somebody/pool.py", sites.USER),  # not a known framework
        (f"{LIBRARY}/aiohttp_extras/web.py", sites.USER),  # its name only begins like one
        (f"{LIBRARY}/aiohttp/web.py", sites.FRAMEWORK),
        (f"{LIBRARY}/nest_asyncio.py", sites.FRAMEWORK),
        ("/usr/lib/python3/dist-packages/tornado/web.py", sites.FRAMEWORK),
        (f"{LIBRARY}/a/site-packages/starlette/app.py", sites.FRAMEWORK),  # vendored
        (f"{STDLIB}/contextlib.py", sites.PLUMBING),
        (f"{STDLIB}/concurrent/futures/thread.py", sites.PLUMBING),
        (f"{STDLIB}/asyncio/tasks.py", sites.PLUMBING),
        (f"{STDLIB}/asyncio/events.py", sites.BOUNDARY),
        (f"{STDLIB}/asyncio/runners.py", sites.RUNNER),
        (f"{STDLIB}/site-packages/uvicorn/server.py", sites.FRAMEWORK),
        ("<frozen runpy>", sites.PLUMBING),
        ("<stdin>", sites.USER),
        (sites.__file__, sites.PLUMBING),
    ],
)
def test_what_kind_of_file_it_is(file, kind):
    assert sites._Files()[file] == kind


def test_the_setting_skip_makes_more_files_plumbing():
    files = sites._Files()
    assert files["/srv/lib/spawn.py"] == sites.USER
    files.clear()
    files.skip = ("/lib/", "helpers.py")
    assert files["/srv/lib/spawn.py"] == files["/srv/app/helpers.py"] == sites.PLUMBING
    assert files["/srv/app/main.py"] == sites.USER


def test_the_line_that_multiprocessing_starts_a_process_with_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    python = ["/usr/bin/python3", "-c"]
    code = "from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=5, pipe_handle=7)"
    assert sites.was_launched([*python, code, "--multiprocessing-fork"])
    assert sites.was_launched([*python, "from multiprocessing.forkserver import main; main(3, 4, ['__main__'])"])
    assert not sites.was_launched([*python, "import multiprocessing.spawn"])
    assert not sites.was_launched(["/usr/bin/python3", "app.py", code])

    server = f"{LIBRARY}/uvicorn/server.py"
    files = ("<string>", f"{STDLIB}/multiprocessing/spawn.py", server, f"{STDLIB}/asyncio/runners.py")
    stack = [(compile("pass", file, "exec"), 1) for file in files]
    assert sites.blamed(stack) == 0  # `python -c` of a user
    monkeypatch.setattr(sites, "_launched", True)
    assert sites.blamed(stack) == files.index(server)
    assert sites._Files()["<string>"] == sites.PLUMBING


@pytest.mark.parametrize(
    "arguments", [["folder/script.py"], ["-m", "folder.script"], ["folder"], ["-c", "import folder.script"]]
)
def test_the_folder_of_a_program_is_known_before_it_begins(tmp_path: Path, arguments: list[str]) -> None:
    """A box is opened then, and its paths would be shown longer than those that a viewer gets later."""
    say = f"import sys; sys.path.append({str(ROOT)!r})\nfrom probes.base import sites\nprint(sites.python_paths()['path'][0])\n"
    for name in ("early/sitecustomize.py", "folder/script.py", "folder/__main__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(say)
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": "early"},
        capture_output=True,
        text=True,
        check=True,
    )
    early, late = done.stdout.split()
    assert early == late
