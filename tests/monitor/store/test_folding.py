"""Which frames of a stack are the user's own."""

from __future__ import annotations

import pytest

from monitor.store.folding import Fold, folded, library_of, own_frames

PACKAGES = "/venv/lib/python3.12/site-packages"
SERVED = [
    "/usr/lib/python3.12/asyncio/runners.py",
    f"{PACKAGES}/uvicorn/server.py",
    f"{PACKAGES}/starlette/routing.py",
    f"{PACKAGES}/starlette/routing.py",
    "/srv/shop/views.py",
    f"{PACKAGES}/pydantic/main.py",
    "/srv/shop/models.py",
    "/usr/lib/python3.12/json/__init__.py",
    "/usr/lib/python3.12/json/encoder.py",
    "/usr/lib/python3.12/json/encoder.py",
]


@pytest.mark.parametrize(
    ("file", "library"),
    [
        ("/srv/shop/views.py", ""),
        ("/home/me/python3/app.py", ""),
        ("<string>", ""),
        ("/tmp/ipykernel_12/3.py", ""),
        (f"{PACKAGES}/anyio/streams/memory.py", "anyio"),
        ("/usr/lib/python3/dist-packages/six.py", "six"),
        ("/usr/lib/python3.12/random.py", "random"),
        ("/usr/lib64/python3.12/asyncio/locks.py", "asyncio"),
        ("/opt/py/lib/python3.13t/asyncio/locks.py", "asyncio"),
        ("<frozen importlib._bootstrap>", "importlib"),
    ],
)
def test_the_library_of_a_file(file: str, library: str) -> None:
    assert library_of(file) == library


def test_a_standard_library_at_an_odd_place() -> None:
    assert library_of("/odd/asyncio/locks.py", ["/odd/"]) == "asyncio"


def test_own_frames_stay_and_frameworks_are_folded() -> None:
    parts = folded(SERVED)
    assert parts == [Fold(0, 4, ("asyncio", "uvicorn", "starlette")), 4, 5, 6, Fold(7, 9, ("json",)), 9]
    assert isinstance(parts[0], Fold)
    assert parts[0].text == "4 frames of asyncio, uvicorn, starlette"


def test_a_frame_that_is_kept_is_not_folded() -> None:
    assert folded(SERVED, kept=(7,))[-3:] == [7, 8, 9]


def test_an_installed_application_is_the_innermost_package() -> None:
    files = [file.replace("/srv/shop/", f"{PACKAGES}/shop/") for file in SERVED]
    assert own_frames(files) == [4, 6]


def test_of_asyncio_alone_nothing_is_folded() -> None:
    assert folded(["/usr/lib/python3.12/asyncio/tasks.py"] * 3) == [0, 1, 2]
    assert folded([]) == []
