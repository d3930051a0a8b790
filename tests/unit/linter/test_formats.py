"""A report for GitHub, and as SARIF."""

from __future__ import annotations

from budeval_migrations.linter.formats import github, sarif
from budeval_migrations.linter.registry import rules
from budeval_migrations.model.findings import Finding, LintReport, Severity, Waived
from budeval_migrations.version import __version__

ERROR = Finding(
    "BM001",
    Severity.ERROR,
    "001",
    "100% of it:\nlost",
    "Fix, it: now.",
    "versions/a, b:c 100%.py",
    7,
    1,
)
NOTE = Finding("BM016", Severity.INFO, "002", "told", "Leave it out.", "/abs/ü.py")
REPORT = LintReport((ERROR, NOTE), (Waived(ERROR, "it is small"),), ("001", "002"))


def test_github_gets_a_command_a_finding_escaped() -> None:
    assert list(github(REPORT.findings)) == [
        "::error file=versions/a%2C b%3Ac 100%25.py,line=7,title=BM001 populate::"
        "100%25 of it:%0Alost%0AFix, it: now.",
        "::notice file=/abs/ü.py,title=BM016 on-cluster::told%0ALeave it out.",
    ]


def test_sarif_has_the_shape_of_2_1_0() -> None:
    log = sarif(REPORT)

    assert (log["version"], log["$schema"]) == (
        "2.1.0",
        "https://json.schemastore.org/sarif-2.1.0.json",
    )
    [run] = log["runs"]
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("budeval-migrate lint", __version__)
    assert [rule["id"] for rule in driver["rules"]] == list(rules())
    assert {rule["defaultConfiguration"]["level"] for rule in driver["rules"]} == {
        "error",
        "warning",
    }
    assert run["results"][0] == {
        "ruleId": "BM001",
        "ruleIndex": 0,
        "level": "error",
        "message": {"text": "100% of it:\nlost\nFix, it: now."},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "versions/a%2C%20b%3Ac%20100%25.py"},
                    "region": {"startLine": 7},
                }
            }
        ],
    }


def test_sarif_names_a_rule_by_its_place_among_the_rules() -> None:
    [run] = sarif(REPORT)["runs"]

    for result in run["results"]:
        rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
        assert rule["id"] == result["ruleId"]


def test_sarif_knows_files_elsewhere_and_findings_without_a_line() -> None:
    [run] = sarif(REPORT)["runs"]

    assert run["results"][1]["level"] == "note"
    assert run["results"][1]["locations"] == [
        {"physicalLocation": {"artifactLocation": {"uri": "file:///abs/%C3%BC.py"}}}
    ]


def test_sarif_has_waived_findings_as_suppressed() -> None:
    [run] = sarif(REPORT)["runs"]

    assert [result.get("suppressions") for result in run["results"]] == [
        None,
        None,
        [{"kind": "inSource", "justification": "it is small"}],
    ]
