"""The audit log, for operators' scripts (CONTRACT 3.8)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving import IP, MAC, Site

OTHER = "02:00:00:00:00:01"


def ids(site: Site, query: str) -> list[int]:
    found = site.operate("GET", f"/events?{query}")
    assert found.status_code == 200, found.text
    return [event["id"] for event in found.json["events"]]


def kinds(site: Site, query: str) -> list[str]:
    return [event["kind"] for event in site.operate("GET", f"/events?{query}").json["events"]]


@pytest.fixture
def busy(server: Site) -> Site:
    """Two machines, one flash that failed."""
    server.bind("bty-flash-once")
    server.boots()
    server.status("failed", reason="x")
    server.contact(OTHER, remote_addr="198.51.100.1")
    return server


def test_an_event_has_the_fields_of_the_contract(busy: Site) -> None:
    event = busy.operate("GET", "/events?kind=machine.flash_failed").json["events"][0]

    assert event == {
        "id": event["id"],
        "ts": "2026-11-22T20:01:00.000000+00:00",
        "kind": "machine.flash_failed",
        "subject_kind": "machine",
        "subject_id": MAC,
        "actor": "pxe-client",
        "source_ip": IP,
        "summary": f"{MAC} reports that its flash failed: x",
        "details": {"reason": "x"},
        "acknowledged": False,
    }


def test_the_newest_is_first(busy: Site) -> None:
    found = ids(busy, "")

    assert found == sorted(found, reverse=True)
    assert len(found) == 7


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("kind=machine.discovered", ["machine.discovered"]),
        ("kind=machine", []),
        ("actor=operator&subject_kind=machine", ["machine.created"]),
        (f"subject_id={OTHER}", ["netboot.pxe.offered", "machine.discovered"]),
        ("source_ip=198.51.100.1", ["netboot.pxe.offered", "machine.discovered"]),
        ("failed=1", ["machine.flash_failed"]),
        ("failed=true&actor=operator", []),
        ("subject_kind=none", []),
    ],
)
def test_each_field_narrows_the_list(busy: Site, query: str, found: list[str]) -> None:
    assert kinds(busy, query) == found


@pytest.mark.parametrize("value", ["0", "false", ""])
def test_a_no_does_not_narrow(busy: Site, value: str) -> None:
    assert len(ids(busy, f"failed={value}")) == 7


@pytest.mark.parametrize(
    ("limit", "count"), [("1", 1), ("0", 1), ("-5", 1), ("3", 3), ("500", 500), ("99999", 500)]
)
def test_the_limit_is_held_between_1_and_500(busy: Site, limit: str, count: int) -> None:
    def fill(tx: Any) -> None:
        for _ in range(600):
            tx.run(
                "INSERT INTO events (ts, kind, actor, summary, chain) VALUES ('', '', '', '', '')"
            )

    busy.database.write(fill)

    assert len(ids(busy, f"limit={limit}")) == count
    assert len(ids(busy, "")) == 50


def test_pages_follow_each_other_without_gap_or_repeat(busy: Site) -> None:
    whole = ids(busy, "")
    pages: list[int] = []
    before = ""
    while page := ids(busy, f"limit=2{before}"):
        pages += page
        before = f"&before_id={page[-1]}"

    assert pages == whole


@pytest.mark.parametrize("name", ["limit", "before_id"])
@pytest.mark.parametrize("value", ["x", "1.5", "--1", "-", "1e3", "9" * 19, "\u0661", " 1"])
def test_a_number_that_is_none_is_refused(server: Site, name: str, value: str) -> None:
    answer = server.operate("GET", f"/events?{name}={value}")

    assert answer.status_code == 422
    assert answer.json == {"detail": f"{name}: must be a whole number"}


def test_an_acknowledgement_is_kept_and_said(busy: Site) -> None:
    (failed,) = ids(busy, "failed=1")

    answer = busy.operate("POST", f"/events/{failed}/ack")
    again = busy.operate("POST", f"/events/{failed}/ack")

    assert answer.json == again.json == {"id": failed, "acknowledged": True}
    assert busy.operate("GET", "/events?failed=1").json["events"][0]["acknowledged"] is True
    assert busy.services.audit.open_failures() == 0


@pytest.mark.parametrize("event_id", ["999999", "0", "x", "9" * 30, "-1"])
def test_what_is_no_event_is_not_acknowledged(server: Site, event_id: str) -> None:
    answer = server.operate("POST", f"/events/{event_id}/ack")

    assert answer.status_code == 404
    assert set(answer.json) == {"detail"}
