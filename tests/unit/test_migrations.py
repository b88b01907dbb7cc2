"""Which migrations are applied when."""

import pytest

from rs_order.store.migrate import Migration, MigrationError, Stage, migrations, pending

FIRST, SECOND, THIRD, FOURTH = (
    Migration.of(name, "")
    for name in (
        "0001_first.before.sql",
        "0002_second.after.sql",
        "0003_third.before.sql",
        "0004_fourth.after.sql",
    )
)
ALL = [FIRST, SECOND, THIRD, FOURTH]


@pytest.mark.parametrize(
    ("applied", "after", "in_use", "expected"),
    [
        ([], False, False, [FIRST, SECOND, THIRD]),
        ([], True, False, ALL),
        ([FIRST], True, True, [SECOND, THIRD, FOURTH]),
        ([FIRST], False, False, [SECOND, THIRD]),
        ([FIRST, SECOND], False, True, [THIRD]),
        ([FIRST, SECOND, THIRD], False, True, []),
        ([FIRST, SECOND, THIRD], True, True, [FOURTH]),
        ([SECOND, THIRD], False, True, [FIRST]),
        ([FIRST, THIRD], False, True, []),
        (ALL, True, True, []),
    ],
)
def test_migrations_to_apply(
    applied: list[Migration], after: bool, in_use: bool, expected: list[Migration]
) -> None:
    """Missing ``before`` migrations are always applied, ``after`` ones once it is safe; in numeric order."""
    recorded = {migration.number: migration.name for migration in applied}

    assert pending(ALL, recorded, after=after, in_use=in_use) == expected


def test_an_overdue_after_migration_is_rejected() -> None:
    """The schema is in use, so the operator has to confirm that no earlier process is left."""
    with pytest.raises(MigrationError, match="0002_second"):
        pending(ALL, {1: FIRST.name}, after=False, in_use=True)


@pytest.mark.parametrize("after", [False, True])
def test_another_history_is_rejected(after: bool) -> None:
    """The schema has another migration with the same number."""
    with pytest.raises(
        MigrationError, match=r"0001_initial\.sql where this version has 0001_first"
    ):
        pending(ALL, {1: "0001_initial.sql"}, after=after, in_use=True)


def test_a_schema_of_a_later_version_is_accepted() -> None:
    """A process of the previous version may start again while the next one is deployed."""
    recorded = {migration.number: migration.name for migration in ALL} | {5: "0005_x.before.sql"}

    assert pending(ALL, recorded, after=False, in_use=True) == []


@pytest.mark.parametrize(
    "name", ["0001_initial.sql", "1_a.before.sql", "0001_a.during.sql", "a.sql"]
)
def test_a_name_without_number_or_stage_is_rejected(name: str) -> None:
    with pytest.raises(MigrationError, match=name):
        Migration.of(name, "")


@pytest.mark.parametrize("kind", ["platform", "tenant"])
def test_numbers_are_unique(kind: str) -> None:
    """The first migration creates the schema, so it precedes the deployment."""
    known = migrations(kind)

    assert len({migration.number for migration in known}) == len(known)
    assert known[0].stage is Stage.BEFORE
