"""Machines, for operators' scripts (CONTRACT 3.8)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bty_app.domain.machine import parse_assignment
from tests import serving
from tests.serving import MAC, REF, Site

PATH = f"/machines/{MAC}"


def test_a_save_answers_with_the_record_in_the_contracts_order(server: Site) -> None:
    answer = server.save(
        bty_image_ref=REF,
        labels=["rack 2", "a.b", "rack 2"],
        boot_mode="bty-flash-once",
        sanboot_drive="0x81",
        target_disk_serial="S1",
    )

    assert answer.status_code == 200
    assert list(answer.json.items()) == [
        ("mac", MAC),
        ("bty_image_ref", REF),
        ("labels", ["a.b", "rack 2"]),
        ("discovered_at", None),
        ("last_seen_at", None),
        ("last_seen_ip", None),
        ("boot_mode", "bty-flash-once"),
        ("sanboot_drive", "0x81"),
        ("last_flashed_at", None),
        ("known_disks", None),
        ("known_disks_at", None),
        ("target_disk_serial", "S1"),
        ("created_at", "2026-11-22T20:00:00.000000Z"),
        ("updated_at", "2026-11-22T20:00:00.000000Z"),
    ]
    assert server.operate("GET", PATH).json == answer.json


def test_a_save_replaces_everything(server: Site) -> None:
    server.save(
        bty_image_ref=REF, labels=["x"], boot_mode="bty-tui", sanboot_drive="0x81",
        target_disk_serial="S1",
    )  # fmt: skip
    server.clock.forward(60)

    now = server.save().json

    assert (now["bty_image_ref"], now["labels"], now["boot_mode"]) == (None, [], "ipxe-exit")
    assert (now["sanboot_drive"], now["target_disk_serial"]) == (None, None)
    assert now["created_at"] == "2026-11-22T20:00:00.000000Z"
    assert now["updated_at"] == "2026-11-22T20:01:00.000000Z"


def test_a_save_keeps_what_the_box_said_of_itself(server: Site) -> None:
    server.contact()
    server.inventory(disks=[{"path": "/dev/sda", "serial": "S1"}], lshw={"id": "box"})

    now = server.save(boot_mode="ipxe-exit").json

    assert now["known_disks"][0]["serial"] == "S1"
    assert now["known_disks_at"] == "2026-11-22T20:00:00.000000Z"
    assert now["last_seen_ip"] == serving.IP
    assert server.operate("GET", f"{PATH}/lshw.json").json == {"id": "box"}


def test_each_save_is_an_event_with_the_new_values(server: Site) -> None:
    fields = {
        "bty_image_ref": REF,
        "boot_mode": "bty-flash-once",
        "sanboot_drive": None,
        "labels": ["a"],
        "target_disk_serial": "S1",
    }
    server.save(**fields)
    server.save(**fields)

    created, saved = server.events()
    assert (created["kind"], saved["kind"]) == ("machine.created", "machine.upserted")
    assert created["details"] == saved["details"] == fields
    assert (saved["actor"], saved["source_ip"]) == ("operator", serving.IP)
    assert (saved["subject_kind"], saved["subject_id"]) == ("machine", MAC)


@pytest.mark.parametrize(
    "fields",
    [
        {"saw_flasher_boot": 0},
        {"boot_mode": "ramboot"},
        {"boot_mode": "IPXE-EXIT"},
        {"boot_mode": None},
        {"boot_mode": 1},
        {"boot_mode": []},
        {"bty_image_ref": "A" * 64},
        {"bty_image_ref": "a" * 63},
        {"bty_image_ref": "a" * 64 + "\n"},
        {"bty_image_ref": ""},
        {"sanboot_drive": "80"},
        {"sanboot_drive": "0x"},
        {"sanboot_drive": "0x800"},
        {"sanboot_drive": "0x80\n"},
        {"sanboot_drive": "0x8\u0660"},
        {"target_disk_serial": "x" * 129},
        {"target_disk_serial": "a\nb"},
        {"target_disk_serial": "a\u2028b"},
        {"target_disk_serial": "a\x00b"},
        {"target_disk_serial": 7},
        {"labels": "rack"},
        {"labels": None},
        {"labels": [""]},
        {"labels": ["-x"]},
        {"labels": ["x" * 65]},
        {"labels": ["a\n"]},
        {"labels": ["a/b"]},
        {"labels": ["ü"]},
        {"labels": [1]},
        {"labels": ["a"] * 17},
    ],
)
def test_a_field_that_breaks_its_rule_is_named_and_nothing_is_saved(
    server: Site, fields: dict[str, Any]
) -> None:
    answer = server.save(**fields)

    assert answer.status_code == 422
    assert next(iter(fields)) in answer.json["detail"]
    assert server.machine() is None
    assert server.events() == []


@pytest.mark.parametrize("fields", [{"sanboot_drive": "0xF"}, {"target_disk_serial": "x" * 128}])
def test_a_field_at_the_edge_of_its_rule_is_saved(server: Site, fields: dict[str, str]) -> None:
    answer = server.save(**fields)

    assert fields.items() <= answer.json.items()


def test_an_empty_serial_is_none(server: Site) -> None:
    assert server.save(target_disk_serial="").json["target_disk_serial"] is None


def test_the_list_is_in_the_order_of_macs_and_whole(server: Site) -> None:
    assert server.operate("GET", "/machines").json == []
    for number in (9, 1, 5):
        server.contact(f"02:00:00:00:00:0{number}")

    answer = server.operate("GET", "/machines")

    assert answer.headers["content-type"] == "application/json"
    assert [machine["mac"][-1] for machine in answer.json] == ["1", "5", "9"]
    assert answer.json[0] == server.operate("GET", "/machines/02:00:00:00:00:01").json


def test_the_list_is_read_in_slices_and_misses_nobody(server: Site) -> None:
    macs = [f"02:00:00:00:{number // 256:02x}:{number % 256:02x}" for number in range(1203)]

    def fill(tx: Any) -> None:
        for mac in macs:
            tx.run("INSERT INTO machines (mac, created_at, updated_at) VALUES (?, 'x', 'x')", mac)

    server.database.write(fill)

    assert [machine["mac"] for machine in server.operate("GET", "/machines").json] == macs


def test_a_machine_that_is_forgotten_leaves_nothing(server: Site) -> None:
    server.save(labels=["a"])
    server.post(f"/pxe/{MAC}/progress", json={"phase": "write"})

    answer = server.operate("DELETE", PATH)

    assert (answer.status_code, answer.text) == (204, "")
    left = server.database.read(
        lambda tx: [
            tx.value(f"SELECT count(*) FROM {table}")
            for table in ("machines", "machine_labels", "machine_progress")
        ]
    )
    assert left == [0, 0, 0]
    deleted = server.events()[-1]
    assert (deleted["kind"], deleted["details"]) == ("machine.deleted", None)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("DELETE", ""), ("GET", "/lshw.json"), ("GET", "/disks.json")],
)
def test_what_is_not_there_is_named(server: Site, method: str, path: str) -> None:
    answer = server.operate(method, PATH + path)

    assert answer.status_code == 404
    assert answer.json == {"detail": f"no machine record for {MAC}"}


@pytest.mark.parametrize("what", ["lshw", "disks"])
def test_hardware_is_given_as_it_is_stored(server: Site, what: str) -> None:
    server.contact()
    missing = server.operate("GET", f"{PATH}/{what}.json").status_code
    server.inventory(disks=[{"path": "/dev/ü"}], lshw={"id": "ü"})

    answer = server.operate("GET", f"/machines/{MAC.upper().replace(':', '-')}/{what}.json")

    assert missing == 404
    assert answer.headers["content-type"] == "application/json"
    named = f'attachment; filename="52-54-00-12-34-56-{what}.json"'
    assert answer.headers["content-disposition"] == named
    assert "\\u00fc" in answer.text
    assert json.loads(answer.text)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_what_is_no_mac_is_refused(server: Site, method: str) -> None:
    answer = server.operate(method, "/machines/zz", json={} if method == "PUT" else None)

    assert (answer.status_code, answer.json) == (400, {"detail": "invalid MAC: 'zz'"})


# -- two operators at once ---------------------------------------------------------------------


def put(server: Site, if_match: str | None, **fields: object) -> Any:
    headers = {"If-Match": if_match} if if_match else {}
    return server.operate("PUT", PATH, json=fields, headers=headers)


def test_a_save_with_the_etag_of_what_was_seen_is_done(server: Site) -> None:
    server.save(labels=["a"])
    seen = server.operate("GET", PATH).headers["etag"]

    saved = put(server, seen, labels=["b"])

    assert saved.status_code == 200
    assert saved.headers["etag"] != seen
    assert server.operate("GET", PATH).headers["etag"] == saved.headers["etag"]
    assert put(server, f'"other", {saved.headers["etag"]}', labels=["c"]).status_code == 200


def test_a_save_over_what_somebody_else_has_saved_is_412(server: Site) -> None:
    server.save(labels=["a"])
    seen = server.operate("GET", PATH).headers["etag"]
    server.save(labels=["theirs"])

    refused = put(server, seen, labels=["mine"])

    assert refused.status_code == 412
    assert refused.json["detail"].startswith("If-Match: ")
    assert server.operate("GET", PATH).json["labels"] == ["theirs"]


def test_a_contact_of_the_box_is_no_other_operator(server: Site) -> None:
    server.save(boot_mode="ipxe-exit")
    seen = server.operate("GET", PATH).headers["etag"]
    server.contact()

    assert put(server, seen, labels=["b"]).status_code == 200


@pytest.mark.parametrize("if_match", ["*", '"0"', 'W/"0"', "nonsense", ""])
def test_if_match_never_makes_a_record(server: Site, if_match: str) -> None:
    answer = server.operate("PUT", PATH, json={}, headers={"If-Match": if_match})

    assert answer.status_code == 412
    assert server.machine() is None


def test_any_record_matches_a_star_and_none_is_needed(server: Site) -> None:
    server.save()

    assert put(server, "*", labels=["b"]).status_code == 200
    assert put(server, None, labels=["c"]).status_code == 200


def test_who_saves_between_the_look_and_the_save_is_seen(
    server: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.save(labels=["a"])
    seen = server.operate("GET", PATH).headers["etag"]
    machines, looked = server.services.machines, type(server.services.machines).get

    def get(self: Any, mac: Any) -> Any:
        found = looked(self, mac)
        machines.save(mac, parse_assignment({"labels": ["theirs"]}), ip=None)
        return found

    monkeypatch.setattr(type(machines), "get", get)

    assert put(server, seen, labels=["mine"]).status_code == 409
    monkeypatch.undo()
    assert server.operate("GET", PATH).json["labels"] == ["theirs"]
