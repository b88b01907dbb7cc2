"""Programs count only when they run."""

from pathlib import Path

import pytest

from rs_order.demo.servers import programs
from rs_order.demo.servers.machine import services_kept_down


def install(folder: Path, script: str, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        program = folder / name
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
        program.chmod(0o755)
    return folder


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose only PostgreSQL programs are in this folder."""
    monkeypatch.setattr(programs, "_DEBIAN_POSTGRESQL", tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(programs, "_folder_on_path", lambda _: [])
    return tmp_path


async def test_newest_version_wins(debian: Path) -> None:
    """Versions are compared as numbers: 16 is newer than 9."""
    for version in ("9", "16", "15"):
        install(debian / version / "bin", f"echo postgres {version}.1", "initdb", "postgres")

    assert await programs.find_postgresql() == programs.Programs(debian / "16/bin", "16.1")


@pytest.mark.parametrize("broken", ["exit 1", "kill -SEGV $$", "echo no number"])
async def test_broken_programs_are_skipped(debian: Path, broken: str) -> None:
    """A version that doesn't run is skipped, and the next one is used."""
    install(debian / "17" / "bin", broken, "initdb", "postgres")
    working = install(debian / "15" / "bin", "echo postgres 15.1", "initdb", "postgres")

    assert await programs.find_postgresql() == programs.Programs(working, "15.1")


async def test_half_an_installation_is_skipped(debian: Path) -> None:
    """Clients without the server don't count as a PostgreSQL."""
    install(debian / "15" / "bin", "echo initdb 15.1", "initdb")

    assert await programs.find_postgresql() is None


async def test_rabbitmq_needs_an_erlang_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scripts of RabbitMQ without a working Erlang don't count as a broker."""
    folder = install(tmp_path / "bin", "exit 1", "erl", "rabbitmq-server")
    monkeypatch.setattr(programs, "_RABBITMQ_HOMES", (folder,))
    monkeypatch.setenv("PATH", str(folder))

    assert await programs.find_rabbitmq() is None


def test_services_stay_down_while_installing(tmp_path: Path) -> None:
    """The policy forbids every start, and is removed afterwards."""
    policy = tmp_path / "policy-rc.d"
    with services_kept_down(policy):
        refusal = policy.read_text(encoding="ascii")

    assert (refusal, policy.exists()) == ("#!/bin/sh\nexit 101\n", False)


def test_policy_of_the_administrator_stays(tmp_path: Path) -> None:
    """An existing policy is neither changed nor removed."""
    policy = tmp_path / "policy-rc.d"
    policy.write_text("theirs", encoding="ascii")
    with services_kept_down(policy):
        pass

    assert policy.read_text(encoding="ascii") == "theirs"
