"""The files around the program name things that exist."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose/compose.yaml").read_text(encoding="utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

COMMANDS = {"serve", "migrate", "tenant", "sandbox", "order", "dead-letters", "asyncapi", "openapi"}
"""The outer contract: fixed names that other people's scripts rely on."""

VARIABLES = {
    f"RS_ORDER_{name}"
    for name in [
        "DATABASE_URL",
        "AMQP_URL",
        "AMQP_VHOST",
        "AMQP_INSTANCE_VHOST",
        "AMQP_MANAGEMENT_URL",
        "HTTP_HOST",
        "HTTP_PORT",
        "TENANTS",
        "CATALOG_URL",
        "STORAGE_URL",
        "DAM_URL",
        "PROCESSING_URL",
        "ADMIN_URL",
        "ADMIN_INSTANCE_URL",
        "JWT_KEY_HS512",
        "ORDER_SECRET",
    ]
}
"""The outer contract: fixed names that other people's scripts rely on."""


def pins(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    found = re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)
    return {canonicalize_name(package): version for package, version in found}


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_compose_sets_real_variables(service: str) -> None:
    """Every RS_ORDER_ variable is one of the contract; the others belong to the image."""
    environment: dict[str, Any] = COMPOSE["services"][service].get("environment", {})
    ours = {name for name in environment if name.startswith("RS_ORDER_")}

    assert ours <= VARIABLES


def test_compose_runs_real_commands() -> None:
    """What is passed to the entry point of the image is a command of rs-order."""
    commands = {
        service["command"][0]
        for service in COMPOSE["services"].values()
        if service["image"] == "rs-order" and "command" in service
    }

    assert commands
    assert commands <= COMMANDS


def test_compose_waits_for_health() -> None:
    """Whatever another service waits for has a health check, its own or the image's."""
    for service in COMPOSE["services"].values():
        for name, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}
            assert "healthcheck" in COMPOSE["services"][name]


def test_compose_publishes_on_loopback_only() -> None:
    """Example passwords must not be reachable from other machines."""
    published = [port for s in COMPOSE["services"].values() for port in s.get("ports", [])]

    assert all(port.startswith("127.0.0.1:") for port in published)


def test_definitions_make_both_virtual_hosts() -> None:
    """The broker of compose has the virtual hosts of amqp.md 1.1, open to its user."""
    text = (ROOT / "compose/rabbitmq/definitions.json").read_text(encoding="utf-8")
    definitions = json.loads(text)
    wanted = {"regards.multitenant.manager", "regards.instance.manager"}

    assert wanted <= {vhost["name"] for vhost in definitions["vhosts"]}
    assert wanted <= {permission["vhost"] for permission in definitions["permissions"]}


def test_files_of_the_image_exist() -> None:
    """Every path the Dockerfile copies from the checkout is there."""
    copies = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    sources = [source for copy in copies for source in copy.split()[:-1]]

    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_image_runs_the_console_script() -> None:
    """The entry point of the image is the script the project installs."""
    entry_point = re.search(r'^ENTRYPOINT \["([\w-]+)"\]', DOCKERFILE, re.MULTILINE)
    command = re.search(r'^CMD \["(\w+)"\]', DOCKERFILE, re.MULTILINE)

    assert entry_point is not None
    assert entry_point.group(1) in PROJECT["project"]["scripts"]
    assert command is not None
    assert command.group(1) in COMMANDS


def test_image_doesnt_run_as_root() -> None:
    """The last stage ends with an account of its own."""
    users = re.findall(r"^USER (\S+)$", DOCKERFILE.rpartition("\nFROM ")[2], re.MULTILINE)

    assert users == ["10001"]


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("requirements.txt", PROJECT["project"]["dependencies"]),
        ("dev.txt", PROJECT["project"]["dependencies"]),
        ("dev.txt", PROJECT["project"]["optional-dependencies"]["dev"]),
        ("build.txt", PROJECT["build-system"]["requires"]),
    ],
)
def test_requirements_are_in_step_with_the_project(file: str, wanted: list[str]) -> None:
    """Every dependency has a pin inside its range; scripts/lock was not forgotten."""
    pinned = pins(file)
    requirements = [Requirement(text) for text in wanted]
    stale = [
        str(requirement)
        for requirement in requirements
        if not requirement.specifier.contains(
            pinned.get(canonicalize_name(requirement.name), "0.dev0")
        )
    ]

    assert stale == []


def test_application_and_development_pins_agree() -> None:
    """The tests run on the very versions that are deployed."""
    development = pins("dev.txt")
    differing = {
        name for name, version in pins("requirements.txt").items() if development[name] != version
    }

    assert differing == set()


@pytest.mark.parametrize("file", ["requirements.txt", "dev.txt", "build.txt"])
def test_requirements_are_hashed_and_name_no_host(file: str) -> None:
    """Any index may serve them, and none can change them."""
    text = (ROOT / "requirements" / file).read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]

    assert "://" not in text
    assert "--index-url" not in text
    assert [block for block in blocks if "--hash=sha256:" not in block] == []
