"""Each format against its schema or a reader of it; names with every special character in each."""

from __future__ import annotations

import importlib
import json
import math
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from graftbench.errors import GraftbenchError
from graftbench.records.record import Status
from graftbench.regression.formats import FORMATS, render
from graftbench.regression.gate import Comparison, compare
from graftbench.regression.measures import parse_measures
from graftbench.regression.options import GateOptions

_words = importlib.import_module("graftbench.regression.formats._words")

STRANGE = "a|b*_<i>&\"'`\\[x](y) ~é\u200b\x07]]>"
"""A method's name with what is special in Markdown, HTML, XML and JSON, and a character that XML cannot hold."""

XSD = """<?xml version="1.0" encoding="UTF-8"?>
<!-- Elements, order, multiplicity and required attributes of Apache Ant's JUnit report as Jenkins' plugin reads it. -->
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" elementFormDefault="qualified">
  <xs:complexType name="problem" mixed="true">
    <xs:attribute name="message" type="xs:string"/>
    <xs:attribute name="type" type="xs:string"/>
  </xs:complexType>
  <xs:element name="testcase"><xs:complexType>
    <xs:sequence>
      <xs:choice minOccurs="0">
        <xs:element name="skipped" type="problem"/>
        <xs:element name="error" type="problem"/>
        <xs:element name="failure" type="problem"/>
      </xs:choice>
      <xs:element name="system-out" type="xs:string" minOccurs="0"/>
      <xs:element name="system-err" type="xs:string" minOccurs="0"/>
    </xs:sequence>
    <xs:attribute name="name" type="xs:string" use="required"/>
    <xs:attribute name="classname" type="xs:string" use="required"/>
    <xs:attribute name="time" type="xs:decimal" use="required"/>
  </xs:complexType></xs:element>
  <xs:element name="testsuite"><xs:complexType>
    <xs:sequence>
      <xs:element ref="testcase" minOccurs="0" maxOccurs="unbounded"/>
      <xs:element name="system-out" type="xs:string" minOccurs="0"/>
    </xs:sequence>
    <xs:attribute name="name" type="xs:string" use="required"/>
    <xs:attribute name="tests" type="xs:nonNegativeInteger" use="required"/>
    <xs:attribute name="failures" type="xs:nonNegativeInteger" use="required"/>
    <xs:attribute name="errors" type="xs:nonNegativeInteger" use="required"/>
    <xs:attribute name="skipped" type="xs:nonNegativeInteger"/>
    <xs:attribute name="time" type="xs:decimal" use="required"/>
  </xs:complexType></xs:element>
  <xs:element name="testsuites"><xs:complexType>
    <xs:sequence><xs:element ref="testsuite" minOccurs="0" maxOccurs="unbounded"/></xs:sequence>
  </xs:complexType></xs:element>
</xs:schema>
"""

if TYPE_CHECKING:
    from graftbench.records.record import Record


@pytest.fixture(name="found")
def everything(make: Any) -> Comparison:
    """A comparison with every verdict and every kind of cell."""

    def cells(method: str, kids: list[float], speeds: list[float], **more: Any) -> list[Record]:
        return [
            make.record(
                method,
                seed,
                scores={"kid": kid, "precision": kid},
                cost={"sampling_images_per_second": speed, "peak_memory_mib": 512.0},
                **more,
            )
            for seed, (kid, speed) in enumerate(zip(kids, speeds, strict=True))
        ]

    broken = make.changed(make.record("broken", status=Status.ERROR), reason=f"it said {STRANGE}")
    base = [
        *cells(STRANGE, [1.0, 1.01, 1.02], [10.0, 10.1, 10.2]),
        *cells("good", [2.0, 2.01, 2.02], [10.0, 10.1, 10.2]),
        *cells("noisy", [1.0, 2.0, 3.0], [10.0, 10.1, 10.2]),
        make.record("broken"),
        make.record(f"gone {STRANGE}"),
        make.changed(make.record("mended", status=Status.OOM)),
        make.record("still", status=Status.OOM),
    ]
    new = [
        *cells(STRANGE, [2.02, 2.0, 2.01], [10.2, 10.0, 10.1]),
        *cells("good", [1.01, 1.0, 1.02], [20.2, 20.0, 20.1]),
        *cells("noisy", [3.0, 2.0, 3.0], [10.0, 10.1, 10.2]),
        broken,
        make.record("mended"),
        make.record("still", status=Status.OOM),
        make.record("fresh"),
    ]
    options = GateOptions(
        measures=parse_measures(["kid,precision,sampling_images_per_second,peak_memory_mib,fit_seconds"])
    )
    verdict = compare([base], [new], options, names=("base", f"new {STRANGE}"))
    assert {row.verdict for row in verdict.rows} >= {"regression", "improvement", "unchanged", "too few pairs"}
    assert verdict.failing
    assert verdict.vanished
    assert verdict.appeared
    assert verdict.mended
    assert verdict.still_failing
    return verdict


def test_json_has_every_field(found: Comparison) -> None:
    """What Python has, unrounded, and the exit code."""
    told = json.loads(render(found, "json"), parse_constant=pytest.fail)
    assert (told["code"], told["format"]) == (1, 1)
    assert [(row["method"], row["p"], row["verdict"]) for row in told["rows"]] == [
        (row.method, row.p, row.verdict) for row in found.rows
    ]
    assert set(told) == {"code", *Comparison.__struct_fields__}


def test_junit_is_valid(found: Comparison) -> None:
    """By the schema: elements, order, one outcome a case, counts that are those of the cases."""
    xmlschema = pytest.importorskip("xmlschema")
    text = render(found, "junit")
    xmlschema.XMLSchema(XSD).validate(text)
    (suite,) = ET.fromstring(text.encode())  # noqa: S314 - our own text
    for kind, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert int(suite.get(attribute, "-1")) == len(suite.findall(f"testcase/{kind}"))
    assert int(suite.get("tests", "-1")) == len(suite.findall("testcase")) == len(found.rows) + 2
    names = [case.get("classname", "") for case in suite.findall("testcase")]
    assert STRANGE.replace("\x07", "�") in names


def test_junit_is_read_by_a_reader_of_it(found: Comparison) -> None:
    """Outcomes as `junitparser` sees them."""
    junitparser = pytest.importorskip("junitparser")
    (suite,) = junitparser.JUnitXml.fromstring(render(found, "junit").encode())
    assert (suite.failures, suite.errors) == (len(found.of("regression")), 2)
    failed = [case for case in suite if any(isinstance(one, junitparser.Failure) for one in case.result)]
    assert [case.name for case in failed] == [_words.label(row) for row in found.of("regression")]
    assert {case.result[0].type for case in suite if case.is_error} == {"error", "vanished"}


@pytest.mark.parametrize("better", [-1, 1])
def test_action_benchmark(found: Comparison, better: int) -> None:
    """What its `extractCustomBenchmarkResult` takes: an array of {name, value, unit, range?, extra?}, each of its type.

    Of both files together each measured row is in one, names are unique, and no measure is in the file of the other
    direction.
    """
    told = json.loads(render(found, "action-benchmark" if better < 0 else "action-benchmark-bigger"))
    assert told
    for entry in told:
        assert set(entry) <= {"name", "value", "unit", "range", "extra"}
        assert all(isinstance(entry[key], str) for key in entry if key != "value")
        assert isinstance(entry["value"], int | float)
        assert not isinstance(entry["value"], bool)
        assert math.isfinite(entry["value"])
    names = [entry["name"] for entry in told]
    assert len(set(names)) == len(names)
    bigger = {
        f"{row.subject}: {label}"
        for row in found.rows
        for label in (_words.label(row)[:-2].split(",")[0],)
        if "↑" in _words.label(row)
    }
    assert (set(names) <= bigger) == (better > 0)


def test_bencher_metric_format(found: Comparison) -> None:
    """Benchmark -> measure (a slug) -> {value, and nothing but lower_value and upper_value}, numbers."""
    told = json.loads(render(found, "bmf"))
    assert set(told) == {row.subject for row in found.rows if row.new is not None}
    for measures in told.values():
        for name, metric in measures.items():
            assert name.replace("-", "").isalnum()
            assert name.islower()
            assert set(metric) == {"value"}
            assert isinstance(metric["value"], float)
    assert told["good"]["kid"] == {"value": pytest.approx(1010.0)}


def test_markdown_through_a_renderer(found: Comparison) -> None:
    """Tables of seven columns, names printed as they are and never as markup, every list there."""
    markdown_it = pytest.importorskip("markdown_it")
    text = render(found, "md")
    html = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert html.count("<table>") == 4
    rows = html.count("<tr>")
    assert rows == 4 + len(found.rows)
    assert html.count("<td") == 7 * len(found.rows)
    assert "<i>" not in html
    assert "<a " not in html
    assert "<em>" not in html.replace("<sub>", "")
    assert "a|b*_&lt;i&gt;&amp;&quot;'`\\[x](y) ~é" in html
    for title in (
        "Regressions",
        "Newly failing",
        "Vanished",
        "Improvements",
        "Too few pairs to tell",
        "New cells",
        "Mended",
        "Still failing",
    ):
        assert f"<strong>{title}</strong>" in html
    assert text.startswith("### ❌ new ")


def test_markdown_of_a_long_list_is_cut(make: Any) -> None:
    """A comment is not a log."""
    base = [make.record("a", seed, scores={"kid": 1.0}) for seed in range(80)]
    text = render(compare([base], [base[:1]]), "md")
    assert "… and 29 more" in text
    assert text.startswith("### ⚠️")


@pytest.mark.parametrize(
    ("number", "text"),
    [(1789.6, "1,790"), (0.05134, "0.0513"), (-3.2, "−3.20"), (0.0, "0"), (99.96, "100.0"), (-2.96e-7, "−3e-07")],
)
def test_numbers(number: float, text: str) -> None:
    """Three significant digits, all before the point."""
    assert _words.digits(number) == text


@pytest.mark.parametrize(
    ("worse", "better", "text"),
    [
        (math.log(2), -1, "+100 %"),  # 1 → 2
        (-math.log(2), -1, "−50 %"),  # 2 → 1
        (math.log(2), 1, "−50 %"),
        (0.01, -1, "+1.0 %"),
        (0.0, 1, "0.0 %"),
        (12.0, -1, "> +999 %"),  # from nothing
        (-12.0, -1, "−100 %"),  # to nothing
    ],
)
def test_changes_are_told_as_shares_of_the_base(worse: float, better: int, text: str) -> None:
    """The gate's change is the logarithm of new over base."""
    assert _words.percent(worse, better) == text


def test_an_unknown_format(found: Comparison) -> None:
    """The nearest is named."""
    with pytest.raises(GraftbenchError, match=r"Unknown format 'jnuit'\. Did you mean 'junit'"):
        render(found, "jnuit")
    assert set(FORMATS) == {"md", "json", "junit", "action-benchmark", "action-benchmark-bigger", "bmf"}
