"""Whose black boxes are found: a user's own, and for root those of all users."""

import os

import pytest

from monitor.attach import boxes
from monitor.errors import UsageError
from probes.base import protocol
from probes.blackbox import ring

USER, OTHER = 54321, 54322


@pytest.fixture
def left(tmp_path, monkeypatch):
    """Leaves a box of a name in a user's folder, as if that user's program had died."""
    if os.geteuid():
        pytest.skip("only root can give files to users")
    for name in ("LOOPTOP_DIR", "LOOPTOP_BOX", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(boxes, "OF_USERS", (f"{tmp_path}/*/looptop",))
    monkeypatch.setattr(protocol, "runtime_dirs", lambda _environ, uid: [f"{tmp_path}/{uid}/looptop"])

    def leave(name, owner, folder_of):
        folder = tmp_path / str(folder_of) / "looptop"
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, folder_of, folder_of)
        path = folder / protocol.box_name(name, 4194304, f"{len(os.listdir(folder))}{folder_of}".ljust(32, "0"))
        facts = {"pid": 4194304, "name": name, "session": f"{name}-{folder_of}"}
        ring.Ring(str(path), 1 << 20, facts, 0).close(remove=False)
        os.chown(path, owner, owner)
        return path

    return leave


def names():
    return sorted(box.heading.name for box in boxes.dead())


def test_root_finds_the_boxes_of_all_users(left, tmp_path, monkeypatch):
    left("own", 0, 0)
    theirs = left("theirs", USER, USER)
    left("planted", OTHER, USER)
    (tmp_path / str(OTHER) / "looptop").mkdir(parents=True)
    (tmp_path / str(OTHER) / "looptop" / theirs.name).symlink_to(theirs)
    assert names() == ["own", "theirs"]
    assert boxes.find("@theirs").path == theirs
    assert " and those of other users (LOOPTOP_DIR names another folder)" in boxes.searched()
    monkeypatch.setattr(os, "geteuid", lambda: USER)
    assert names() == ["theirs"]
    assert "other users" not in boxes.searched()
    monkeypatch.setattr(os, "geteuid", lambda: OTHER)
    assert names() == []


def test_a_user_is_told_whose_box_it_is(left, monkeypatch):
    path = left("theirs", USER, USER)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UsageError, match="Permission denied") as refused:
        boxes.find(str(path))
    assert refused.value.hint.startswith("it belongs to another user")
