"""The text of docs/samples.md: every sample by topic, what it shows, and what must be seen of it."""

from __future__ import annotations

import ast
import re

from monitor.plain.sample_objects import fixes_of
from sample_apps.catalogue import TOPICS, Sample, samples
from sample_apps.vocabulary import NotSeenYet

_HEAD = """# The samples

Made by `make docs` from `sample_apps/`. {number} small programs that each show one behaviour of asyncio, wrong or
right; each declares what a monitor must see of it, and `looptop samples check` checks whether it does.
[sample_apps/README.md](../sample_apps/README.md) explains how to add one.

    looptop samples list             all samples, and which is the fix for which
    looptop samples run NAME         the dashboard on one of them
    looptop samples show NAME        its source, with the lines marked that expectations refer to
    looptop samples check [NAME…]    runs them under the probe and checks their expectations
"""

_GAPS = """
## Not seen yet

Behaviour of samples that looptop cannot observe, with the reason. `looptop samples check` lists these, and reports
when one of them is seen after all.

| sample | what should be seen | why it is not |
|---|---|---|
"""


def page() -> str:
    """The page in Markdown."""
    listed = samples()
    fixes = fixes_of(listed)
    text = _HEAD.format(number=len(listed))
    for topic, title in TOPICS.items():
        here = [sample for sample in listed if sample.topic == topic]
        text += f"\n## {title}\n\n| sample | its pair | what it shows |\n|---|---|---|\n"
        text += "".join(f"| {_link(one.name)} | {_pair(one, fixes)} | {one.sentence} |\n" for one in here)
        text += "".join(_section(sample) for sample in here)
    gaps = [(sample, gap) for sample in listed for gap in sample.expectations if isinstance(gap, NotSeenYet)]
    text += _GAPS + "".join(f"| {_link(one.name)} | {_text(gap.sentence)} | {gap.because} |\n" for one, gap in gaps)
    return text


def _link(name: str) -> str:
    return f"[{name}](#{name})"


def _text(sentence: str) -> str:
    """A sentence whose patterns of names are code: an asterisk means something else here."""
    return re.sub(r"[\w-]*\*[\w*-]*", lambda found: f"`{found[0]}`", sentence)


def _pair(sample: Sample, fixes: dict[str, list[str]]) -> str:
    if sample.fix is not None:
        return f"fix: {_link(sample.fix)}"
    wrong = fixes.get(sample.name)
    return f"fixes {', '.join(map(_link, wrong))}" if wrong else ""


def _section(sample: Sample) -> str:
    doc = ast.get_docstring(ast.parse(sample.path.read_text(encoding="utf-8"))) or ""
    expected = "".join(
        f"* {_text(one.sentence)}{' (not seen yet)' if isinstance(one, NotSeenYet) else ''}\n"
        for one in sample.expectations
    )
    return f"\n### {sample.name}\n\n{doc}\n\nWhat must be seen:\n\n{expected}"
