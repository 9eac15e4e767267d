"""The floor plan in docs/architecture.md names what there is: no file that has gone, and every package."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs/architecture.md").read_text()
FOLDERS = ("", "probes/", "probes/hooks/", "probes/hooks/native/", "monitor/", "monitor/attach/", "monitor/findings/")
NOT_OURS = {"/proc"}


def is_there(name):
    return any((ROOT / (folder + name + end)).exists() for folder in FOLDERS for end in ("", ".py"))


def test_every_file_that_is_named_is_there():
    names = {
        name for name in re.findall(r"`([\w./]+)`", TEXT) if "/" in name or name.endswith((".py", ".md", ".c", ".h"))
    }
    assert len(names) > 30
    assert sorted(name for name in names - NOT_OURS if not is_there(name)) == []


def test_every_package_has_its_row():
    for top in ("probes", "monitor"):
        part = TEXT.partition(f"\n### {top}\n")[2].partition("\n##")[0]
        rows = {name for row in re.findall(r"^\| (`.*?) \|", part, re.M) for name in re.findall(r"`(\w+)/?`", row)}
        packages = {path.parent.name for path in (ROOT / top).glob("*/*.py")}
        assert sorted(packages - rows) == []
