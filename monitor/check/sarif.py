"""Findings as SARIF 2.1.0, the format that code hosts display beside the lines (OASIS, sarif-v2.1.0-os)."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from monitor.check.rules import RULES, Rule, Version

if TYPE_CHECKING:
    from monitor.check.analysis import Report
    from monitor.check.diagnostic import Diagnostic

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def log(report: Report, version: str) -> dict[str, Any]:
    """A log with one run. Paths below the working directory are relative to it."""
    codes = list(RULES)
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "looptop",
                        "semanticVersion": version,
                        "informationUri": "https://pypi.org/project/looptop/",
                        "rules": [_rule(rule, report.python) for rule in RULES.values()],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(one, codes.index(one.code), report.python) for one in report.found],
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [
                            {"level": "warning", "message": {"text": note}} for note in report.notes
                        ],
                    }
                ],
            }
        ],
    }


def _rule(rule: Rule, python: Version) -> dict[str, Any]:
    described: dict[str, Any] = {
        "id": rule.code,
        "name": rule.name.title().replace("-", ""),
        "shortDescription": {"text": rule.name.replace("-", " ")},
        "fullDescription": {"text": f"{rule.why}."},
        "help": {"text": f"Write: {rule.fix(python)}"},
        "defaultConfiguration": {"level": rule.level(python)},
    }
    if rule.ruff:
        described["properties"] = {"ruff": rule.ruff}
    return described


def _result(one: Diagnostic, index: int, python: Version) -> dict[str, Any]:
    region: dict[str, Any] = {"startLine": one.line, "startColumn": one.column}
    region |= {"endLine": one.end_line, "endColumn": one.end_column}
    return {
        "ruleId": one.code,
        "ruleIndex": index,
        "level": one.rule.level(python),
        "message": {"text": f"{one.what}: {one.rule.why}. Write: {one.rule.fix(python)}"},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(one.path)}, "region": region}}],
    }


def _uri(path: str) -> str:
    absolute = Path(path).resolve()
    here = Path.cwd()
    if absolute.is_relative_to(here):
        return quote(PurePath(absolute.relative_to(here)).as_posix())
    return absolute.as_uri()
