"""Old black boxes go when the next program starts: by name, by age and by size; those in use stay."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from probes.base import protocol
from probes.blackbox import old_boxes

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NOW = 1_800_000_000.0
DAY = 86_400


def box(folder: Path, name: str, pid: int, age: float, size: int = 4096) -> Path:
    path = folder / protocol.box_name(name, pid, f"{pid:032x}")
    path.write_bytes(b"x" * size)
    os.utime(path, (NOW - age, NOW - age))
    return path


def left(folder: Path) -> set[str]:
    old_boxes.remove(str(folder), NOW)
    return {path.name for path in folder.iterdir()}


def test_the_last_five_of_a_name_stay_with_the_one_that_begins(tmp_path: Path) -> None:
    api = [box(tmp_path, "api", number, age=number * 60) for number in range(1, 9)]
    other = box(tmp_path, "api-two", 1, age=DAY)
    assert left(tmp_path) == {path.name for path in [*api[:4], other]}


def test_none_is_older_than_a_week(tmp_path: Path) -> None:
    young = box(tmp_path, "api", 1, age=7 * DAY - 1)
    box(tmp_path, "job", 2, age=7 * DAY + 1)
    assert left(tmp_path) == {young.name}


def test_all_together_are_no_larger_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert old_boxes.LARGEST == 100 << 20
    monkeypatch.setattr(old_boxes, "LARGEST", 100_000)
    kept = [box(tmp_path, f"api{number}", number, age=number, size=40_960) for number in range(1, 3)]
    for number in range(3, 6):
        box(tmp_path, f"api{number}", number, age=number, size=40_960)
    assert left(tmp_path) == {path.name for path in kept}


def test_files_of_running_programs_do_not_keep_old_boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(old_boxes, "MOST_LOOKED_AT", 6)
    files = {f"{number}.json" for number in range(60)}
    for file in files:
        (tmp_path / file).touch()
    api = [box(tmp_path, "api", number, age=number * 60) for number in range(1, 7)]
    assert left(tmp_path) == files | {path.name for path in api[:4]}


def test_what_is_in_use_or_is_no_box_stays(tmp_path: Path) -> None:
    used = box(tmp_path, "api", 1, age=30 * DAY)
    (tmp_path / "notes.box").write_text("mine")
    (tmp_path / "target").write_text("mine")
    link = tmp_path / protocol.box_name("api", 3, "0" * 32)
    link.symlink_to(tmp_path / "target")
    expected = {used.name, "notes.box", "target", link.name}
    with used.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert left(tmp_path) == expected
    assert left(tmp_path) == expected - {used.name}
