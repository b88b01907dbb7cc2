"""Compose file, Dockerfile and requirements name variables, commands, files and packages that exist."""

import base64
import json
import re
import subprocess
import sys
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
EXTRAS = PROJECT["project"]["optional-dependencies"]
STAGES = dict(re.findall(r"^FROM \S+ AS (\S+)\n((?:(?!FROM ).*\n)*)", DOCKERFILE, re.MULTILINE))
"""The text of each stage by its name, in the order of the file."""

COMMANDS = {"serve", "migrate", "tenant", "sandbox", "order", "dead-letters", "asyncapi", "openapi"}
"""Fixed names of the outer contract, on which scripts of operators rely."""

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
"""Fixed names of the outer contract, on which scripts of operators rely."""


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
    """The compose file passes a command of rs-order to the entry point of the image."""
    commands = {
        service["command"][0]
        for service in COMPOSE["services"].values()
        if "build" in service and "command" in service
    }

    assert commands
    assert commands <= COMMANDS


def test_compose_waits_for_health() -> None:
    """Each service that another one waits for has a health check."""
    for service in COMPOSE["services"].values():
        for name, condition in service.get("depends_on", {}).items():
            if name == "migrate":  # it ends
                assert condition == {"condition": "service_completed_successfully"}
                continue
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


def test_accounts_of_the_broker_administer_nothing() -> None:
    """No account has a tag, and that of the service has the permissions of docs/operations.md."""
    text = (ROOT / "compose/rabbitmq/definitions.json").read_text(encoding="utf-8")
    definitions = json.loads(text)
    operations = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^\| rs_order \|.*$", operations, re.MULTILINE)
    documented = [pattern.replace(r"\|", "|") for pattern in re.findall(r"`(.*?)`", line)]

    assert [user["tags"] for user in definitions["users"]] == [[], []]
    for permission in definitions["permissions"]:
        if permission["user"] == "rs_order":
            assert [permission[name] for name in ("configure", "write", "read")] == documented


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_containers_are_hardened(service: str) -> None:
    """Read-only, without capabilities and root, with limits of memory and processes."""
    container = COMPOSE["services"][service]

    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert "cap_add" not in container
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container["user"] not in {"root", "0"}
    assert container["mem_limit"]
    assert container["pids_limit"]
    assert all(
        volume.endswith(":ro") or volume.split(":")[0] in COMPOSE["volumes"]
        for volume in container.get("volumes", [])
    )


def test_the_service_of_compose_owns_nothing() -> None:
    """It uses the role that ``migrate`` gives its rights, and no management API."""
    service, migrate = COMPOSE["services"]["rs-order"], COMPOSE["services"]["migrate"]
    role = migrate["command"][-1]

    assert migrate["command"] == ["migrate", "--grant-to", "rs_order"]
    assert service["environment"]["RS_ORDER_DATABASE_URL"].startswith(f"postgresql://{role}:")
    assert migrate["environment"]["RS_ORDER_DATABASE_URL"].startswith(
        "postgresql://rs_order_owner:"
    )
    assert "RS_ORDER_AMQP_MANAGEMENT_URL" not in service["environment"]


def test_secrets_of_compose(tmp_path: Path) -> None:
    """``make-secrets`` makes every variable that compose asks for, and never replaces one."""
    script = [sys.executable, str(ROOT / "compose/make-secrets"), str(tmp_path)]
    subprocess.run(script, check=True, capture_output=True)  # noqa: S603 - our own script
    again = subprocess.run(script, check=False, capture_output=True)  # noqa: S603 - likewise
    env = dict(line.split("=") for line in (tmp_path / ".env").read_text().splitlines())
    text = (ROOT / "compose/compose.yaml").read_text(encoding="utf-8")
    users = json.loads((tmp_path / "secrets/definitions.json").read_text())["users"]

    assert set(re.findall(r"\$\{(\w+):\?", text)) == set(env)
    assert set(re.findall(r"\$\{(\w+):-", text)) == {"ARCHIVE"}
    assert len(set(env.values())) == len(env)
    assert all(len(value) >= 64 for value in env.values())
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert [len(base64.b64decode(user["password_hash"])) for user in users] == [36, 36]
    assert again.returncode == 1


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


def test_only_a_process_that_hangs_makes_its_container_unhealthy() -> None:
    """F31: the whole health was checked, so 30 s without a broker made the container unhealthy."""
    checked = re.search(r"^HEALTHCHECK .*\n\s+CMD .*'(/actuator/\S+)'", DOCKERFILE, re.MULTILINE)

    assert checked is not None
    assert checked.group(1) == "/actuator/health/liveness"


@pytest.mark.parametrize("stage", ["sandbox", "service"])
def test_image_doesnt_run_as_root(stage: str) -> None:
    """Each image runs under an account of its own."""
    users = re.findall(r"^USER (\S+)$", STAGES[stage], re.MULTILINE)

    assert users == ["10001"]


def test_service_is_the_default_image() -> None:
    """``docker build`` without a target makes the image of the service."""
    assert list(STAGES)[-1] == "service"


def test_compose_builds_real_stages() -> None:
    """Each service that compose builds names a stage of the Dockerfile."""
    targets = {
        name: service["build"]["target"]
        for name, service in COMPOSE["services"].items()
        if "build" in service
    }

    assert targets == {"sandbox": "sandbox", "migrate": "service", "rs-order": "service"}


def test_service_image_has_no_sandbox_dependencies() -> None:
    """It installs requirements.txt, and traces.txt if asked to. Both have nothing of the extra."""
    extra_only = set(pins("sandbox.txt")) - set(pins("requirements.txt"))

    assert "lark" in extra_only
    assert extra_only.isdisjoint(pins("traces.txt"))
    assert "--from=build-service " in STAGES["service"]
    assert "requirements/sandbox.txt" not in STAGES["build"] + STAGES["build-service"]


def test_images_have_no_archive() -> None:
    """The observations of the demo don't enter the context that images are built from."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    archive = "rs_order/sandbox/archive"

    assert (ROOT / archive / "manifest.json").is_file()
    assert lines.index(archive) > lines.index("!rs_order")
    assert [line for line in lines if line.startswith(f"!{archive}")] == []


def test_development_includes_the_sandbox() -> None:
    assert set(EXTRAS["sandbox"]) <= set(EXTRAS["dev"])


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("requirements.txt", PROJECT["project"]["dependencies"]),
        ("dev.txt", PROJECT["project"]["dependencies"]),
        ("sandbox.txt", PROJECT["project"]["dependencies"]),
        ("sandbox.txt", EXTRAS["sandbox"]),
        ("dev.txt", EXTRAS["sandbox"]),
        ("dev.txt", EXTRAS["dev"]),
        ("build.txt", PROJECT["build-system"]["requires"]),
    ],
)
def test_requirements_are_in_step_with_the_project(file: str, wanted: list[str]) -> None:
    """Every dependency has a pin inside its range, so scripts/lock has been run."""
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


@pytest.mark.parametrize("file", ["requirements.txt", "sandbox.txt"])
def test_application_and_development_pins_agree(file: str) -> None:
    """The tests run on the versions that are deployed."""
    development = pins("dev.txt")
    differing = {name for name, version in pins(file).items() if development[name] != version}

    assert differing == set()


@pytest.mark.parametrize("file", ["requirements.txt", "sandbox.txt", "dev.txt", "build.txt"])
def test_requirements_are_hashed_and_name_no_host(file: str) -> None:
    """Any package index may serve them, and none can change them."""
    text = (ROOT / "requirements" / file).read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]

    assert "://" not in text
    assert "--index-url" not in text
    assert [block for block in blocks if "--hash=sha256:" not in block] == []
