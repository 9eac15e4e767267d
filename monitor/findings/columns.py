"""The columns of the table of findings, one declaration each, like those of `monitor.store.columns`."""

from __future__ import annotations

from monitor import formatting as fmt
from monitor.findings.kinds import KINDS
from monitor.findings.model import Finding
from monitor.store.column import Column
from monitor.store.labels import site_text
from monitor.store.store import Store

GLYPHS = {"bad": "✗", "warn": "!"}
"""Shown with the title, so that the weight is visible without colour."""

_ORDER = {kind.key: number for number, kind in enumerate(KINDS)}


def label_of(finding: Finding, store: Store) -> str:
    """The label of the task that a finding names; empty if it names none, or one without a label."""
    number = finding.observed.task
    task = None if number is None else store.tasks.get(number) or store.ended.of(number)
    return "" if task is None else task.label or ""


FINDINGS: tuple[Column[Finding], ...] = (
    Column(
        "kind",
        "Finding",
        24,
        "the problem: ✗ something is broken, ! something will break",
        lambda f, s: f"{GLYPHS[f.kind.weight]} {f.kind.title}",
        lambda f, s: (f.dismissed, _ORDER[f.observed.kind], f.since, f.id),
        descending=False,
    ),
    Column(
        "text",
        "Evidence",
        40,
        "the tasks or lines involved, and the figures",
        lambda f, s: f"(dismissed) {f.observed.text}" if f.dismissed else f.observed.text,
        lambda f, s: f.observed.text,
        descending=False,
    ),
    Column(
        "site",
        "Line",
        26,
        "the line that causes it",
        lambda f, s: site_text(f.observed.site, s),
        lambda f, s: site_text(f.observed.site, s),
        priority=2,
        descending=False,
    ),
    Column(
        "label",
        "Label",
        18,
        "what the task that it names works on: a route, an RPC method",
        label_of,
        label_of,
        priority=3,
        descending=False,
        optional=True,
    ),
    Column(
        "since",
        "Since",
        6,
        "how long it has lasted",
        lambda f, s: fmt.age(max(s.now - f.since, 0.0)),
        lambda f, s: s.now - f.since,
        unit="s",
        right=True,
    ),
)
