"""Files are written to folders that others write to as well, such as /tmp: nothing that they planted is followed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from scripted import Script, record

from monitor.cli import main
from monitor.errors import UsageError
from monitor.recording import export
from monitor.recording.ring import Ring
from monitor.recording.writer import File


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    file = tmp_path / "precious"
    file.write_text("precious")
    return file


def test_export_follows_no_planted_link(tmp_path: Path, precious: Path) -> None:
    recorded = record(tmp_path / "a.looptop", ticks=8, script=Script(), moments=False).path
    target = tmp_path / "out.ndjson"
    for name in (".part", ".tmp"):
        target.with_name(target.name + name).symlink_to(precious)
    assert main(["export", str(recorded), "--to", "ndjson", "-o", str(target)]) == 0
    assert precious.read_text() == "precious"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600 and target.stat().st_size > 100
    planted = {"a.looptop", "precious", "out.ndjson", "out.ndjson.part", "out.ndjson.tmp"}
    assert {path.name for path in tmp_path.iterdir()} - {"run"} == planted


@pytest.mark.parametrize("force", [False, True])
def test_export_to_a_link_leaves_what_it_points_to_alone(tmp_path: Path, precious: Path, force: bool) -> None:
    link = tmp_path / "link"
    link.symlink_to(precious)
    if force:
        assert export.write(link, [b"new"], overwrite=True) == 3
        assert not link.is_symlink() and link.read_bytes() == b"new"
    else:
        with pytest.raises(UsageError):
            export.write(link, [b"new"])
    assert precious.read_text() == "precious"


def test_a_link_that_is_planted_while_one_exports(tmp_path: Path, precious: Path) -> None:
    target = tmp_path / "out"

    def pieces():
        yield b"first"
        target.symlink_to(precious)
        yield b"second"

    with pytest.raises(UsageError, match="exists"):
        export.write(target, pieces())
    assert precious.read_text() == "precious" and target.is_symlink()
    assert {path.name for path in tmp_path.iterdir()} - {"run"} == {"out", "precious"}


def test_a_recording_is_written_to_no_planted_link(tmp_path: Path, precious: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(precious)
    for name in ("dangling", "link"):
        with pytest.raises(UsageError, match="exists"):
            File(tmp_path / name)
    assert precious.read_text() == "precious" and not (tmp_path / "elsewhere").exists()


def test_a_recording_that_fails_does_not_cut_what_took_its_name(tmp_path: Path, precious: Path) -> None:
    file = File(tmp_path / "a")
    (tmp_path / "a").unlink()
    (tmp_path / "a").symlink_to(precious)
    file.fail()
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("plant", ["link", "open"])
def test_a_flight_recorder_uses_no_planted_folder(tmp_path: Path, plant: str) -> None:
    folder = tmp_path / "a.looptop.d"
    if plant == "link":
        (tmp_path / "theirs").mkdir()
        folder.symlink_to(tmp_path / "theirs")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    with pytest.raises(UsageError, match="others may write to it"):
        Ring(tmp_path / "a.looptop", 60.0)
    assert os.listdir(folder) == []
