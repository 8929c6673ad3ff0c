"""`events`, run as its users do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bty_app.cli.here import events as command
from bty_app.domain.event_filters import ANY, Filters
from bty_app.domain.events import Kind, machine_subject
from bty_app.services.audit import Audit
from tests.cli.test_main import bty
from tests.web.site import MAC, site


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with site(tmp_path / "state") as made:
        for number in range(5):
            made.add_event(Kind.LOGOUT, f"number {number}", source_ip="192.0.2.7")
        made.add_event(Kind.MACHINE_FLASH_FAILED, "it\nburns", subject=machine_subject(MAC))
    return tmp_path


def shown(home: Path, *words: str) -> list[str]:
    done = bty("events", *words, home=home)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.splitlines()


def test_the_newest_are_shown_with_the_last_at_the_end(home: Path) -> None:
    lines = shown(home, "--limit", "2")

    assert len(lines) == 2
    assert lines[0].endswith("auth.logout  number 4")
    assert lines[1].startswith("2026-11-22T19:07:18Z  machine.flash_failed  it")
    assert "burns" in lines[1]


def test_a_row_is_json_on_a_line(home: Path) -> None:
    rows = [json.loads(line) for line in shown(home, "--all", "--json")]

    assert [row["summary"] for row in rows] == [*(f"number {n}" for n in range(5)), "it\nburns"]
    assert set(rows[0]) == {
        *("id", "ts", "kind", "subject_kind", "subject_id", "actor", "source_ip", "summary"),
        *("details", "acknowledged"),
    }


def test_filters_narrow_it_down(home: Path) -> None:
    assert len(shown(home, "--failed")) == 1
    assert len(shown(home, "--machine", MAC.upper().replace(":", "-"))) == 1
    assert len(shown(home, "--kind", "auth.*", "--search", "ber 3", "--ip", "192.0.2.7")) == 1
    assert shown(home, "--until", "2026-11-22T19:07") == []
    assert shown(home, "--actor", "pxe-client") == []


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("--since", "then"), 65),
        (("--machine", "zz"), 65),
        (("--limit", "0"), 2),
        (("--limit", "x"), 2),
        (("--limit", "3", "--all"), 2),
    ],
)
def test_bad_input_is_a_sentence(home: Path, words: tuple[str, ...], status: int) -> None:
    done = bty("events", *words, home=home)

    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert done.stderr


def test_a_search_that_stops_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bty_app.services.audit.SEARCHED", 3)
    monkeypatch.setattr(command, "SLICE", 2)
    with site(tmp_path / "state") as made:
        for number in range(9):
            made.add_event(Kind.LOGOUT, f"{'wanted' if number % 4 == 0 else 'other'} {number}")
        audit = Audit(made.database)

        found = command.newest(audit, Filters(q="wanted"), 10)
        newest = command.newest(audit, ANY, 5)

    assert [row.summary for row in found] == ["wanted 0", "wanted 4", "wanted 8"]
    assert [row.summary[-1] for row in newest] == list("45678")
