"""The chart names settings, commands and addresses that exist. It is parsed here, not rendered."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from rs_order.broker.queue_names import topology
from rs_order.settings import PREFIX, Settings

CHART = Path(__file__).parents[2] / "deploy/helm/rs-order"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
TEMPLATES = {
    path.name: path.read_text(encoding="utf-8") for path in sorted((CHART / "templates").iterdir())
}
ALL = "".join(TEMPLATES.values())
SETTINGS = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}


def test_settings_exist() -> None:
    text = ALL + (CHART / "values.yaml").read_text(encoding="utf-8")

    assert set(re.findall(rf"{PREFIX}[A-Z0-9_]+", text)) <= SETTINGS
    assert set(VALUES["settings"]) <= SETTINGS


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\.Values((?:\.\w+)+)", ALL))))
def test_values_exist(path: str) -> None:
    """A misspelt value renders as nothing."""
    found: Any = VALUES
    for name in path.removeprefix(".").split("."):
        assert name in found
        found = found[name]


def test_no_secret_is_a_value() -> None:
    """Secrets are referred to by the name of an existing one."""
    secret = {name for name in SETTINGS if "Secret" in str(Settings.model_fields[_field(name)])}

    assert set(VALUES["settings"]).isdisjoint(secret)
    assert "kind: Secret" not in ALL


def test_queues_of_the_autoscaling_exist() -> None:
    names = topology(instance_identifier="x").multitenant.queues

    assert set(VALUES["worker"]["autoscaling"]["queues"]) <= {queue.name for queue in names}


def test_probes_and_security_context() -> None:
    deployments = TEMPLATES["deployments.yaml"]
    paths = re.findall(r"(\w+)Probe:\n\s+httpGet: \{path: (\S+),", deployments)

    assert dict(paths) == {
        "startup": "/actuator/health/readiness",
        "liveness": "/actuator/health/liveness",
        "readiness": "/actuator/health/readiness",
    }
    for line in (
        "runAsNonRoot: true",
        "readOnlyRootFilesystem: true",
        "allowPrivilegeEscalation: false",
        "drop: [ALL]",
    ):
        assert line in TEMPLATES["_helpers.tpl"]


def _field(name: str) -> str:
    return name.removeprefix(PREFIX).lower()
