"""The configuration file: what it changes, whose wins, and one clear line for each way to get it wrong."""

import tomllib

import pytest

from monitor.errors import UsageError
from monitor.findings.thresholds import Thresholds, as_toml, load


@pytest.fixture
def place(tmp_path):
    """Writes the file of the user and of the folder, and loads them."""

    def loaded(project=None, user=None):
        (tmp_path / "home" / "looptop").mkdir(parents=True, exist_ok=True)
        (tmp_path / "project").mkdir(exist_ok=True)
        for path, text in (("project/looptop.toml", project), ("home/looptop/config.toml", user)):
            if text is not None:
                data = text if isinstance(text, bytes) else text.encode()
                (tmp_path / path).write_bytes(data)
        return load({"XDG_CONFIG_HOME": str(tmp_path / "home")}, tmp_path / "project")

    return loaded


def test_without_files_the_defaults_hold(place):
    found = place()
    assert (found.hold, found.of("deadlock", "after"), found.files) == (5, 2, ())
    assert found.after("tasks_growing") == 0  # it looks at a window itself


def test_the_file_of_the_folder_wins_key_by_key(place):
    found = place(
        "[findings]\nhold = 1.5\n[findings.busy_loop]\nsteps = 50\n[findings.deadlock]\noff = false\n[theme]\nx = 1",
        "[findings.busy_loop]\nsteps = 10\nafter = 9\n[findings.deadlock]\noff = true\n[findings.lock_convoy]\noff = true",
    )
    assert (found.hold, found.of("busy_loop", "steps"), found.of("busy_loop", "after")) == (1.5, 50, 9)
    assert found.off == {"lock_convoy"}
    assert len(found.files) == 2


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("[findings", "is not valid TOML"),
        (b"[findings]\nx = '\xff'", "is not UTF-8"),
        ("findings = 3", "findings must be a table"),
        ("[findings.dedlock]\nafter = 1", "findings.dedlock: no such kind: did you mean deadlock?"),
        ("[findings]\ndeadlock = 1", "findings.deadlock must be a table"),
        ("[findings.deadlock]\nafer = 1", "findings.deadlock.afer: no such threshold: did you mean after?"),
        ("[findings.deadlock]\nafter = true", "findings.deadlock.after must be a number"),
        ("[findings.deadlock]\nafter = -1", "findings.deadlock.after must be a number"),
        ("[findings.deadlock]\nafter = nan", "findings.deadlock.after must be a number"),
        ("[findings.deadlock]\nafter = 'x'", "findings.deadlock.after must be a number"),
        ("[findings.deadlock]\noff = 1", "findings.deadlock.off must be true or false"),
        ("[findings]\nhold = []", "findings.hold must be a number"),
        ("x = " + "[" * 100_000, "is not valid TOML"),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(place, text, cause):
    with pytest.raises(UsageError) as raised:
        place(text)
    line = str(raised.value)
    assert "looptop.toml" in line
    assert cause in line
    assert "\n" not in line


def test_a_file_that_is_a_folder(place, tmp_path):
    (tmp_path / "project" / "looptop.toml").mkdir(parents=True)
    with pytest.raises(UsageError, match="cannot be read"):
        place()


def test_what_config_prints_is_a_file_that_says_the_same(place, tmp_path):
    chosen = Thresholds(3, {("deadlock", "after"): 7.5}, frozenset({"busy_loop"}))
    text = "\n".join(as_toml(chosen))
    tomllib.loads(text)
    found = place(text)
    assert (found.hold, found.of("deadlock", "after"), found.off) == (3, 7.5, {"busy_loop"})
