"""The recorded reports of the published schedulers, and the page that is made from them."""

import tomllib
from pathlib import Path

import pytest

from reference.audit import page
from reference.audit.report import SCHEMA

DOCS = Path(__file__).parents[3] / "docs"
REPORTS, EXPLANATIONS, PAGE = (DOCS / f"schedulers.{end}" for end in ("json", "toml", "md"))


@pytest.fixture(scope="module")
def recorded():
    return page.read(REPORTS, EXPLANATIONS)


def valid(value, schema):
    """Does a JSON value have a schema?  The words of JSON Schema that ``SCHEMA`` uses."""
    if "enum" in schema:
        return value in schema["enum"]
    kinds = {"object": dict, "array": list, "string": str, "integer": int}
    if not isinstance(value, kinds[schema["type"]]) or value is True:
        return False
    if schema["type"] == "array":
        return all(valid(entry, schema["items"]) for entry in value)
    if schema["type"] == "object":
        known = schema.get("properties", {})
        extra = set(value) - set(known) if schema.get("additionalProperties", True) is False else set()
        return not extra and set(schema.get("required", ())) <= set(value) and all(valid(value[name], known[name]) for name in known)
    return schema["type"] != "integer" or value >= schema.get("minimum", value)


def test_each_recorded_report_has_the_schema(recorded):
    reports, _ = recorded
    assert len(reports) > 100
    for report in reports:
        assert valid(report, SCHEMA), report["target"]
        assert report["faults"] == sum(check["verdict"] == "fault" for check in report["checks"])
        assert set(report["settings"]["versions"]) == {"diffusers", "torch"}


def test_the_schema_refuses_a_report_with_another_verdict(recorded):
    (report, *_), _ = recorded
    wrong = {**report, "checks": [{**report["checks"][0], "verdict": "bad"}]}
    assert not valid(wrong, SCHEMA) and not valid({**report, "more": 1}, SCHEMA)


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == page.page(*page.read(REPORTS, EXPLANATIONS))


def test_each_fault_has_an_explanation_and_each_explanation_a_fault(recorded):
    assert page.unexplained(*recorded) == []
    assert page.unused(*recorded) == []


def test_the_explanations_are_complete():
    for each in tomllib.loads(EXPLANATIONS.read_text())["explanation"]:
        assert each["kind"] in page.KINDS and each["text"].strip()
        if each.get("report"):
            assert each["kind"] == "fault" and each["reproduction"] and each["expected"] and each["got"], each["title"]
        lines = [line for line in each.get("reproduction", "").splitlines() if line.strip()]
        assert len(lines) <= 10, each["title"]
