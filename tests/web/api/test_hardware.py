"""The hardware of a machine, and what it was, over the API."""

from __future__ import annotations

from tests.serving import MAC, Site

HERE = f"/api/v1/machines/{MAC}/hardware"
DISK = {"path": "/dev/sda", "serial": "S1", "size": "1G"}


def test_each_inventory_that_differed_is_told_newest_first(server: Site) -> None:
    server.contact()
    server.inventory(disks=[DISK], lshw={"id": "box", "class": "system"})
    server.clock.forward(60)
    server.inventory(disks=[DISK, {**DISK, "path": "/dev/sdb", "serial": "S2"}])

    found = server.operate("GET", HERE).json
    second, first = found["history"]

    assert found["mac"] == MAC
    assert [disk["key"] for disk in found["now"]["disks"]] == ["S1", "S2"]
    assert any("S2" in change for change in second["changes"])
    assert first["changes"] == []
    assert second["at"] > first["at"]


def test_an_inventory_is_given_as_it_was_reported(server: Site) -> None:
    server.contact()
    server.inventory(disks=[DISK], lshw={"id": "box"})
    number = server.operate("GET", HERE).json["history"][0]["number"]

    report = server.operate("GET", f"{HERE}/{number}")

    assert report.headers["content-type"] == "application/json"
    assert report.json["disks"][0]["serial"] == "S1"
    assert report.json["lshw"] == {"id": "box"}


def test_what_is_not_there_is_404(server: Site) -> None:
    unknown = server.operate("GET", HERE)
    server.contact()
    none_yet = server.operate("GET", HERE)

    assert unknown.status_code == server.operate("GET", f"{HERE}/1").status_code == 404
    assert unknown.headers["content-type"] == "application/problem+json"
    assert (none_yet.json["history"], none_yet.json["now"]["disks"]) == ([], [])
    assert server.get(HERE).status_code == 401
