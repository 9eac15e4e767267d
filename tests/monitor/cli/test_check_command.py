"""`looptop check` as a process: lines, JSON, SARIF, exit statuses."""

import json
import subprocess
import sys

import pytest

SOURCE = "import asyncio\nasync def f(self):\n    asyncio.create_task(f())\n    self.n += await f(self)\n"


def looptop(*args, cwd):
    return subprocess.run([sys.executable, "-m", "monitor", *args], capture_output=True, text=True, timeout=60, cwd=cwd)


@pytest.fixture
def source(tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    (tmp_path / "app.py").write_text(SOURCE)
    return tmp_path


def test_lines_and_status(source):
    done = looptop("check", "app.py", "--python", "3.12", cwd=source)
    assert done.returncode == 1
    assert done.stderr == ""
    assert "app.py:3:5: LT10 task-not-kept: asyncio.create_task(f())" in done.stdout
    assert "(ruff: RUF006)" in done.stdout
    assert "app.py:4:5: LT12 lost-update: self.n, read on the same line" in done.stdout
    assert done.stdout.endswith("2 findings in 1 of 1 file for Python 3.12\n")
    done = looptop("check", ".", "--ignore", "LT10,LT12", cwd=source)
    assert (done.returncode, done.stdout.startswith("no findings in 1 file")) == (0, True)


def test_json(source):
    done = looptop("check", "--json", ".", cwd=source)
    looked = json.loads(done.stdout)
    assert looked["files"] == 1
    first = looked["found"][0]
    assert (first["file"], first["line"], first["code"], first["ruff"]) == ("app.py", 3, "LT10", "RUF006")
    assert first["why"]
    assert first["write"]
    rules = json.loads(looptop("check", "--rules", "--json", cwd=source).stdout)
    assert [rule["code"] for rule in rules][:2] == ["LT00", "LT01"]


def test_sarif_has_what_the_standard_requires(source):
    done = looptop("check", "--sarif", ".", cwd=source)
    assert done.returncode == 1
    log = json.loads(done.stdout)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert run["tool"]["driver"]["name"] == "looptop"
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning")
        assert result["message"]["text"]
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "app.py"
        assert place["region"]["startLine"] >= 1
        assert place["region"]["endColumn"] > place["region"]["startColumn"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nowhere"], "no such file or folder: nowhere"),
        ([], "nothing to check"),
        ([".", "--python", "three"], "write it as 3.11"),
        ([".", "--select", "LT99"], "no such rule: LT99"),
        ([".", "--json", "--sarif"], "choose one of them"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(source, args, said):
    done = looptop("check", *args, cwd=source)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
