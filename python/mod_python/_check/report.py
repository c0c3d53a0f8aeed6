"""Findings as text for people, as JSON, and as SARIF 2.1.0 for code review tools."""

import json
import os
from urllib.parse import quote

from mod_python import version
from mod_python._check.rules import ERROR, NOTE, RULES, WARNING

SEVERITIES = (ERROR, WARNING, NOTE)


def message(finding):
    """The rule's sentence, completed by what was found."""
    text = RULES[finding.rule].text
    return "%s: %s" % (finding.detail, text) if finding.detail else text


def count(found):
    """How many findings there are of each severity."""
    return {
        severity: sum(RULES[finding.rule].severity == severity for finding in found)
        for severity in SEVERITIES
    }


def as_text(found, files):
    lines = []
    for finding in found:
        lines.append(
            "%s:%d:%d: %s: %s [%s]%s"
            % (
                finding.path,
                finding.line,
                finding.column + 1,
                RULES[finding.rule].severity,
                message(finding),
                finding.rule,
                " (--fix mends it)" if finding.edit else "",
            )
        )
    counted = ", ".join("%d %s" % (number, severity) for severity, number in count(found).items())
    return "\n".join([*lines, "%d files: %s" % (files, counted)])


def as_json(found, files):
    rows = [
        {
            "rule": finding.rule,
            "severity": RULES[finding.rule].severity,
            "path": finding.path,
            "line": finding.line,
            "column": finding.column + 1,
            "message": message(finding),
            "fixable": bool(finding.edit),
        }
        for finding in found
    ]
    return json.dumps({"files": files, "findings": rows, "count": count(found)}, indent=2)


def uri(path):
    """A path as SARIF names it: relative to where the check ran, or absolute."""
    return ("file://" if os.path.isabs(path) else "") + quote(os.fsencode(path))


def as_sarif(found, files):
    used = sorted({finding.rule for finding in found})
    results = [
        {
            "ruleId": finding.rule,
            "ruleIndex": used.index(finding.rule),
            "level": RULES[finding.rule].severity,
            "message": {"text": message(finding)},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": uri(finding.path)},
                        "region": {"startLine": finding.line, "startColumn": finding.column + 1},
                    }
                }
            ],
        }
        for finding in found
    ]
    rules = [{"id": rule, "shortDescription": {"text": RULES[rule].text}} for rule in used]
    driver = {"name": "mod_python check", "version": version.version, "rules": rules}
    return json.dumps(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {"driver": driver},
                    "columnKind": "unicodeCodePoints",
                    "results": results,
                }
            ],
        },
        indent=2,
    )


FORMATS = {"text": as_text, "json": as_json, "sarif": as_sarif}
