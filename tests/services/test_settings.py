"""Operators change settings: all or nothing, one event, passwords told to nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bty_app.domain.events import Query, StoredEvent
from bty_app.domain.settings import CATALOG_URL, MAX_ATTEMPTS, SETTINGS, Setting
from bty_app.errors import StorageError, ValidationError
from bty_app.services.revisions import Revisions
from bty_app.services.settings import Settings, Shown
from bty_app.store import events
from bty_app.store import settings as rows
from bty_app.store.database import Database
from tests.fresh_state import make_state
from tests.serving import Clock

CONFIGURED = "https://example.com/catalog.toml"
SECRET = "https://me:hush@example.com/catalog.toml"
SHOWN = CONFIGURED


@pytest.fixture
def database(quick_dir: Path) -> Iterator[Database]:
    make_state(quick_dir / "state")
    with Database(quick_dir / "state" / "state.db") as opened:
        yield opened


@pytest.fixture
def settings(quick_dir: Path) -> Iterator[Settings]:
    make_state(quick_dir / "state")
    revisions = Revisions()
    with Database(quick_dir / "state" / "state.db", on_commit=revisions.bump) as opened:
        yield Settings(
            opened,
            revisions,
            configured={CATALOG_URL.key: CONFIGURED},
            provenance={CATALOG_URL.key: "env(BTY_UPSTREAM_CATALOG_URL)"},
            clock=Clock(),
        )


def changed(settings: Settings) -> list[StoredEvent]:
    query = Query(kind="settings.updated")
    return settings._database.read(lambda tx: events.listed(tx, query))


def row(settings: Settings, setting: Setting) -> Shown:
    return next(shown for shown in settings.shown() if shown.setting is setting)


def test_a_change_counts_at_once_and_is_one_event(settings: Settings) -> None:
    before = settings.limits().max_attempts

    keys = settings.change(
        {MAX_ATTEMPTS.key: " 7 ", CATALOG_URL.key: "/srv/c.toml"}, ip="192.0.2.7"
    )

    assert (before, settings.limits().max_attempts) == (5, 7)
    assert settings.text(CATALOG_URL) == "/srv/c.toml"
    assert keys == ["boot.max_attempts", "upstream.catalog_url"]
    [event] = changed(settings)
    assert event.details is not None
    assert json.loads(event.details) == {
        "boot.max_attempts": {"old": None, "new": "7"},
        "upstream.catalog_url": {"old": None, "new": "/srv/c.toml"},
    }
    assert (event.actor, event.source_ip, event.subject_kind) == (
        "operator",
        "192.0.2.7",
        "settings",
    )
    assert event.summary.startswith("settings changed: boot.max_attempts is 7, was the default; ")


def test_what_is_emptied_is_as_configured_again(settings: Settings) -> None:
    settings.change({CATALOG_URL.key: "/srv/c.toml", MAX_ATTEMPTS.key: "7"}, ip=None)

    settings.change({CATALOG_URL.key: " ", MAX_ATTEMPTS.key: ""}, ip=None)

    assert settings.text(CATALOG_URL) == CONFIGURED
    assert settings.limits().max_attempts == 5
    assert settings.stored() == {}


def test_what_changes_nothing_is_no_event(settings: Settings) -> None:
    settings.change({MAX_ATTEMPTS.key: "7"}, ip=None)

    again = settings.change({MAX_ATTEMPTS.key: "7", CATALOG_URL.key: ""}, ip=None)

    assert again == []
    assert len(changed(settings)) == 1


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({MAX_ATTEMPTS.key: "0", CATALOG_URL.key: "/srv/c.toml"}, "a whole number from 1 to 100"),
        ({CATALOG_URL.key: "/srv/c.toml", "no.such": "1"}, "there is no setting 'no.such'"),
        ({"catalog.taken": "{}"}, "there is no setting"),
    ],
)
def test_one_bad_text_changes_nothing(
    settings: Settings, wanted: dict[str, str], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        settings.change(wanted, ip=None)

    assert settings.stored() == {}
    assert changed(settings) == []


def test_what_could_not_be_stored_is_told_of_without_its_value(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_args: object, **_more: object) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(rows, "put", refuses)
        with pytest.raises(StorageError, match="full"):
            settings.change({CATALOG_URL.key: SECRET, MAX_ATTEMPTS.key: "7"}, ip="192.0.2.7")

    [told] = settings._database.read(lambda tx: events.listed(tx, Query()))
    assert (told.kind, told.source_ip) == ("settings.update.failed", "192.0.2.7")
    assert json.loads(told.details or "") == {
        "keys": [MAX_ATTEMPTS.key, CATALOG_URL.key],
        "error": "the disk is full",
    }
    assert "hush" not in f"{told}"
    assert settings.limits().max_attempts != 7


def test_the_password_of_a_url_is_told_to_nobody(settings: Settings) -> None:
    settings.change({CATALOG_URL.key: SECRET}, ip=None)
    with pytest.raises(ValidationError) as refused:
        settings.change({CATALOG_URL.key: f"{SECRET} x"}, ip=None)
    settings.change({CATALOG_URL.key: ""}, ip=None)

    assert settings._database.read(rows.every) == {}
    told = [f"{event.summary}{event.details}" for event in changed(settings)]
    assert len(told) == 2
    assert not any("hush" in text for text in [*told, str(refused.value)])


def test_every_row_says_where_its_value_comes_from(settings: Settings) -> None:
    assert [shown.setting for shown in settings.shown()] == list(SETTINGS)
    assert row(settings, MAX_ATTEMPTS).where == "default"
    assert row(settings, CATALOG_URL).where == "env(BTY_UPSTREAM_CATALOG_URL)"

    settings.change({CATALOG_URL.key: SECRET, MAX_ATTEMPTS.key: "7"}, ip=None)

    shown = row(settings, CATALOG_URL)
    assert (shown.value, shown.where, shown.default) == (SHOWN, "changed here", CONFIGURED)
    assert (row(settings, MAX_ATTEMPTS).value, row(settings, MAX_ATTEMPTS).default) == ("7", "5")


def test_a_stored_text_that_breaks_its_rule_says_so_and_counts_as_not_set(
    settings: Settings,
) -> None:
    settings._database.write(lambda tx: rows.put(tx, MAX_ATTEMPTS.key, "many", at="x"))

    shown = row(settings, MAX_ATTEMPTS)

    assert settings.limits().max_attempts == 5
    assert shown.value == "many"
    assert shown.problem == "it must be a whole number from 1 to 100; until then the default counts"
