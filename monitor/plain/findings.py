"""Findings as objects for `--json` and as lines for a person."""

from __future__ import annotations

from monitor import format as fmt
from monitor.findings.engine import Change
from monitor.findings.model import Finding
from monitor.plain import objects
from monitor.plain.objects import Object


def change_object(change: Change) -> Object:
    """A finding that has come or has gone, as `looptop watch --json` prints it."""
    return {"type": change.what, "time": objects.seconds(change.at), **finding_object(change.finding)}


def finding_object(finding: Finding) -> Object:
    """A finding with its evidence."""
    sign, kind = finding.sign, finding.kind
    return {
        "id": finding.id,
        "kind": kind.key,
        "title": kind.title,
        "text": sign.text,
        "since": objects.seconds(finding.since),
        "seen": objects.seconds(finding.seen),
        "task": sign.task,
        "name": sign.name,
        "site": objects.site_object(sign.site),
        "evidence": dict(sign.evidence),
        "lines": [
            {"text": line.text, "task": line.task, "name": line.name, **(objects.site_object(line.site) or {})}
            for line in sign.lines
        ],
        "why": kind.why,
        "advice": kind.advice,
        "sample": kind.sample or None,
        "cure": kind.cure or None,
    }


def finding_text(thing: Object) -> str:
    """One line: what it is, where, and the figures."""
    return f"{thing['title']}: {thing['text']}{_where(thing)}"


def gone_text(thing: Object) -> str:
    """One line: what is over, and how long it was."""
    lasted = fmt.duration(max(thing["seen"] - thing["since"], 0.0))
    return f"{thing['title']} is over after {lasted}: {thing['text']}{_where(thing)}"


def _where(thing: Object) -> str:
    site = thing["site"]
    return "" if site is None else f"  {fmt.short_path(site['file'])}:{site['line']} {site['function']}"
