"""docs/symptoms.md: each picture is there and is drawn by docs/picture.py, each sample that is named exists."""

import importlib.util
import re
from pathlib import Path

from sample_apps.catalogue import samples

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "symptoms.md").read_text(encoding="utf-8")


def pictures():
    spec = importlib.util.spec_from_file_location("picture", DOCS / "picture.py")
    import sys

    module = importlib.util.module_from_spec(spec)
    sys.modules["picture"] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["picture"]
    return module.PICTURES


def test_each_picture_is_there_and_drawn_by_the_program():
    shown = {DOCS / path for path in re.findall(r"!\[[^\]]*\]\(([^)]*)\)", TEXT)}
    assert all(path.is_file() for path in shown), shown
    drawn = {picture.path for picture in pictures() if not picture.name}
    assert shown == drawn
    assert set((DOCS / "symptoms").iterdir()) == drawn


def test_each_sample_that_is_named_exists():
    names = {sample.name for sample in samples()}
    for picture in pictures():
        assert picture.sample in names
    for fixes in re.findall(r"Fix: ([^.]*)\.", TEXT):
        for name in re.findall(r"`(\w+)`", fixes):
            assert name in names, name


def test_each_symptom_of_the_table_has_a_section():
    titles = {
        re.sub(r"[^\w -]", "", line[3:]).lower().replace(" ", "-")
        for line in TEXT.split("\n")
        if line.startswith("## ")
    }
    linked = set(re.findall(r"\]\(#([^)]*)\)", TEXT))
    assert linked == titles
