"""What a file is, at a glance: for lists of recordings."""

import pytest
from scripted import NOW, record

from monitor.recording.metadata import about, in_folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return record(tmp_path_factory.mktemp("about") / "a.looptop", ticks=60, moments=False).path


def test_a_whole_recording(whole):
    found = about(whole)
    assert (found.program, found.name, found.pid, found.whole) == ("app.py --port 80", "api", 4242, True)
    assert found.start == pytest.approx(NOW / 1e6)
    assert found.duration == pytest.approx(30.5, abs=0.01)
    assert (found.size, found.problem, found.dropped) == (whole.stat().st_size, "", 0)


def test_a_cut_one_is_known_up_to_its_last_whole_block(whole, tmp_path):
    data = whole.read_bytes()
    cut = tmp_path / "cut"
    cut.write_bytes(data[: len(data) * 2 // 3])
    found = about(cut)
    assert (found.program, found.whole) == ("app.py --port 80", False)
    assert 1 < found.duration < 30


def test_one_of_which_nothing_can_be_read_says_why(whole, tmp_path):
    (tmp_path / "heading").write_bytes(whole.read_bytes()[:600])
    (tmp_path / "newer").write_bytes(b"looptop-recording 7\n{}\n")
    (tmp_path / "first").write_bytes(b"".join(whole.read_bytes().splitlines(keepends=True)[:2]))
    assert about(tmp_path / "heading").problem == "is cut in its first lines: nothing of it can be read"
    assert "format 7" in about(tmp_path / "newer").problem
    assert about(tmp_path / "first").problem == "it was cut before its first block was complete"


def test_what_is_no_recording(tmp_path):
    (tmp_path / "text").write_text("looptop")
    (tmp_path / "empty").write_bytes(b"")
    assert [about(tmp_path / name) for name in ("text", "empty", "none", "")] == [None] * 4
    assert about("/dev/zero") is None


def test_a_folder(whole, tmp_path):
    (tmp_path / "b").write_bytes(whole.read_bytes())
    (tmp_path / "other").write_text("no")
    (tmp_path / "newer").write_bytes(b"looptop-recording 7\n{}\n")
    assert [found.path.name for found in in_folder(tmp_path)] == ["b", "newer"]
    assert in_folder(tmp_path / "none") == []
