"""What the samples declare: all of it resolves, and a declaration that is wrong says where."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from sample_apps import catalogue
from sample_apps.catalogue import BadSample, Sample, UnknownSample, declared, line_of
from sample_apps.vocabulary import SlowCallback

SAMPLES = catalogue.samples()


def test_every_module_declares_itself_under_its_own_name():
    modules = {path.stem for path in Path(catalogue.__file__).parent.glob("*.py")}
    assert {sample.name for sample in SAMPLES} == modules - {"__init__", "catalogue", "entry", "vocabulary"}


def test_samples_come_by_topic_and_name():
    assert sorted(SAMPLES, key=lambda sample: (sample.topic, sample.name)) == SAMPLES


def test_a_marker_is_the_line_it_stands_on():
    sample = catalogue.find("cpu_bound")
    line = sample.path.read_text().splitlines()[line_of(sample, "burns") - 1]
    assert line.strip() == "burn(rng.uniform(0.2, 0.4))  # expect: burns"


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample.fix], ids=lambda sample: sample.name)
def test_a_fix_exists_and_looks_different(sample):
    fix = catalogue.find(sample.fix)
    assert fix in SAMPLES
    assert set(fix.expectations) != set(sample.expectations)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_sample_imports_the_standard_library_and_what_it_says_it_needs(sample):
    imported = set()
    for node in ast.walk(ast.parse(sample.path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.partition(".")[0])
    assert imported <= {*sys.stdlib_module_names, "sample_apps", *sample.needs}


def test_reading_the_catalogue_runs_nothing_and_loads_nothing_else():
    code = """
import sys, threading
before = threading.active_count()
from sample_apps.catalogue import samples
assert samples()
print(sorted({"aiohttp", "uvloop", "probes", "monitor"} & set(sys.modules)), threading.active_count() - before)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (result.stdout, result.stderr) == ("[] 0\n", "")


def test_an_unknown_name_is_answered_with_the_close_ones():
    with pytest.raises(UnknownSample, match=r"no sample is called 'cpu_bond': did you mean cpu_bound"):
        catalogue.find("cpu_bond")


def test_a_name_like_no_other_is_answered_with_how_many_there_are():
    with pytest.raises(UnknownSample, match=rf"there are {len(SAMPLES)}"):
        catalogue.find("§")


@pytest.mark.parametrize("name", ["catalogue", "entry", "__init__", "os", ""])
def test_what_is_no_sample_is_not_found(name):
    with pytest.raises(UnknownSample):
        catalogue.find(name)


GOOD = """
from sample_apps.catalogue import Sample
from sample_apps.vocabulary import NoSlowCallback, SlowCallback

SAMPLE = Sample(
    name="broken",
    topic="tasks",
    sentence="It blocks.",
    fix=None,
    expectations=(
        NoSlowCallback(),
        SlowCallback(task="a", line="blocks", at_least=0.1, at_most=0.2),
    ),
)

blocked = "# expect: not-this"  # expect: blocks
"""


def declare(folder: Path, source: str) -> Sample:
    path = folder / "broken.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("broken", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return declared(module)


def test_a_good_declaration_is_returned(tmp_path):
    assert declare(tmp_path, GOOD).expectations[1] == SlowCallback("a", "blocks", 0.1, 0.2)


@pytest.mark.parametrize(
    ("good", "bad", "field", "why"),
    [
        ("SAMPLE =", "OTHER =", "SAMPLE", "there is none"),
        ('name="broken"', 'name="other"', "SAMPLE.name", "'other' is not the module's name"),
        ('topic="tasks"', 'topic="sports"', "SAMPLE.topic", "'sports' is none of communication, "),
        ("It blocks.", "blocks", "SAMPLE.sentence", "is not a sentence"),
        ("fix=None", 'fix="prayer"', "SAMPLE.fix", "no sample is called 'prayer'"),
        ("fix=None", 'fix="broken"', "SAMPLE.fix", "no sample is called 'broken'"),
        ("expectations=(", "expectations=() and (", "SAMPLE.expectations", "nothing is expected"),
        ("NoSlowCallback(),", "None,", "SAMPLE.expectations[0]", "None is no expectation"),
        (
            'line="blocks"',
            'line="block"',
            "SAMPLE.expectations[1] SlowCallback.line",
            "no line is marked '# expect: block'",
        ),
        ("at_most=0.2", "at_most=0.05", "SAMPLE.expectations[1] SlowCallback.at_most", "0.05 is less than 0.1"),
        (
            "  # expect: blocks",
            "  # expect: blocks\nx = 1  # expect: other",
            "line 17",
            "nothing is expected of 'other'",
        ),
        ("  # expect: blocks", "  # expect: blocks\nx = 1  # expect: blocks", "line 17", "line 16 is 'blocks' already"),
    ],
)
def test_a_wrong_declaration_names_file_and_field(tmp_path, good, bad, field, why):
    assert good in GOOD
    with pytest.raises(BadSample) as error:
        declare(tmp_path, GOOD.replace(good, bad))
    assert str(error.value).startswith(f"{tmp_path / 'broken.py'}: {field}: {why}")
