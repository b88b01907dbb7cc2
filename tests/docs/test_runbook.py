"""Alerts, dashboard and runbook belong together, and query metrics that exist."""

import asyncio
import json
import re
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from rs_order.app import serve as composition
from tests.support.tools import PROMTOOL, program

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
RULES = ROOT / "deploy/prometheus/rs-order.rules.yaml"
TESTS = ROOT / "deploy/prometheus/rs-order.rules.test.yaml"
DASHBOARD = json.loads((ROOT / "deploy/grafana/rs-order.json").read_text(encoding="utf-8"))
ALERTS = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]
QUERIES = [
    *((alert["alert"], alert["expr"]) for alert in ALERTS),
    *(
        (panel["title"], target["expr"])
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", [])
    ),
]
OF_PROMETHEUS = {"instance", "le"}
"""Labels that aren't ours: the scraped process, and the bucket of a histogram."""


async def promtool(*arguments: str) -> None:
    """Run promtool in the folder of the rules. It has to succeed."""
    process = await asyncio.create_subprocess_exec(
        await program(PROMTOOL), *arguments, cwd=RULES.parent, stdout=PIPE, stderr=STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


async def test_alerts_fire_when_they_should() -> None:
    """Prometheus reads the rules, and evaluates each on the series of its tests."""
    await promtool("check", "rules", RULES.name)
    await promtool("test", "rules", TESTS.name)


def test_every_alert_has_tests() -> None:
    """One in which it fires, and one in which it is near and doesn't."""
    fires: dict[str, set[bool]] = {alert["alert"]: set() for alert in ALERTS}
    for case in yaml.safe_load(TESTS.read_text(encoding="utf-8"))["tests"]:
        for test in case["alert_rule_test"]:
            fires[test["alertname"]].add(bool(test["exp_alerts"]))

    assert [name for name, outcomes in fires.items() if outcomes != {True, False}] == []


async def test_queries_of_the_dashboard_can_be_read(tmp_path: Path) -> None:
    """Prometheus parses each of them, with values for Grafana's variables."""
    variables = {"$__rate_interval": "5m", "$tenant": ".*"}
    rules = [
        {"record": f"query_{number}", "expr": _with(variables, query)}
        for number, (_, query) in enumerate(QUERIES)
    ]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))

    await promtool("check", "rules", "--lint=none", str(file))


@pytest.mark.parametrize(("name", "query"), QUERIES, ids=[name for name, _ in QUERIES])
def test_queries_name_metrics_and_labels_that_exist(name: str, query: str) -> None:
    """A metric that was renamed would leave an alert silent and a panel empty."""
    labels = _labels_of_metrics()
    used = re.findall(r"\b((?:rs_order|process)_\w+)(?:\{([^}]*)\})?", query)
    by = set(re.findall(r"\w+", " ".join(re.findall(r"\b(?:by|on) \(([^)]*)\)", query))))

    assert used, f"{name} asks for none of our metrics"
    assert [metric for metric, _ in used if metric not in labels] == []
    for metric, selector in used:
        assert set(re.findall(r"(\w+)(?==)", selector.replace("!", ""))) <= labels[metric]
    assert by <= OF_PROMETHEUS.union(*(labels[metric] for metric, _ in used))


def test_every_metric_is_on_the_dashboard() -> None:
    """An operator finds each metric of the service there."""
    assert composition.__name__  # The import registers the metrics.
    shown = " ".join(query for _, query in QUERIES)
    metrics = {metric.name for metric in REGISTRY.collect() if metric.name.startswith("rs_order")}

    assert [name for name in sorted(metrics) if not re.search(rf"\b{name}", shown)] == []


def test_every_alert_has_its_section() -> None:
    """The runbook describes each alert once, and no other; the alert leads there."""
    headings = re.findall(r"^## (RsOrder\w+)$", RUNBOOK, re.MULTILINE)
    links = {alert["alert"]: alert["annotations"]["runbook_url"] for alert in ALERTS}

    assert sorted(headings) == sorted(links)
    assert links == {name: f"docs/runbook.md#{name.lower()}" for name in links}


@pytest.mark.parametrize("alert", [alert["alert"] for alert in ALERTS])
def test_a_section_begins_with_what_users_notice(alert: str) -> None:
    """Then the operator knows how urgent it is. Commands follow."""
    section = RUNBOOK.partition(f"\n## {alert}\n")[2].partition("\n## ")[0]

    assert section.strip().startswith("**Users notice:** ")
    assert "```sh\n" in section


def _with(variables: dict[str, str], query: str) -> str:
    for name, value in variables.items():
        query = query.replace(name, value)
    return query


def _labels_of_metrics() -> dict[str, set[str]]:
    """Return the labels of each series by its name in Prometheus."""
    return dict(_series())


def _series() -> Iterator[tuple[str, set[str]]]:
    names: dict[str, Any] = REGISTRY._names_to_collectors  # noqa: SLF001 - nothing public tells the labels
    for name, collector in names.items():
        yield name, set(getattr(collector, "_labelnames", ())) | OF_PROMETHEUS
