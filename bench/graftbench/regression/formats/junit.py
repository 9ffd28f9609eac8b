"""JUnit XML, as Jenkins, GitLab and GitHub actions read it: a test case for each row and for each cell that fails.

The form is that of Apache Ant's and Jenkins' schema: <testsuite> with counts, <testcase> with at most one of
<failure>, <error> and <skipped>.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from graftbench.regression.formats._words import label, method_note, sentence, summary

if TYPE_CHECKING:
    from graftbench.regression.results import Comparison

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, escaped or not."""


def render(comparison: Comparison) -> str:
    """Render one <testsuites> with one <testsuite>."""
    suite = ET.Element("testsuite", name=_clean(f"graftbench compare {comparison.base} {comparison.new}"))
    for row in comparison.rows:
        case = _case(suite, row.subject, label(row))
        if row.verdict == "regression":
            message = _clean(f"{label(row)}: {sentence(row)}; {row.reason}")
            ET.SubElement(case, "failure", message=message, type="regression").text = method_note(comparison)
        elif row.verdict in ("too few pairs", "not compared"):
            ET.SubElement(case, "skipped", message=_clean(f"{row.verdict}: {row.reason}"))
    for failed in comparison.failing:
        case = _case(suite, failed.cell, "ends well")
        ET.SubElement(case, "error", message=_clean(f"{failed.status}: {failed.reason}"), type=failed.status)
    for cell in comparison.vanished:
        message = "The base has this cell and the new run has not."
        ET.SubElement(_case(suite, cell, "is there"), "error", message=message, type="vanished")
    for kind in ("failure", "error", "skipped"):
        name = {"failure": "failures", "error": "errors"}.get(kind, kind)
        suite.set(name, str(len(suite.findall(f"testcase/{kind}"))))
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("time", "0")
    ET.SubElement(suite, "system-out").text = _clean(" ".join([summary(comparison), *comparison.notes]))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, subject: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=_clean(subject), name=_clean(name), time="0")


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("�", text)
