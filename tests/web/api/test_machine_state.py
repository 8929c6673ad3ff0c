"""A machine with where it is in its cycle."""

from __future__ import annotations

from tests.serving import MAC, Site

HERE = f"/api/v1/machines/{MAC}"


def test_a_machine_is_told_with_its_phase_and_progress(server: Site) -> None:
    server.bind("bty-flash-once")
    server.boots()
    server.plan()
    server.post(f"/pxe/{MAC}/progress", json={"phase": "write", "bytes": 5, "total": 9, "rate": 2})

    found = server.operate("GET", HERE).json
    plain = server.operate("GET", f"/machines/{MAC}").json

    assert plain.items() <= found.items()
    assert (found["phase"], found["attempts"], found["disk_suspect"]) == ("booted", 1, True)
    assert found["phase_at"].endswith("Z")
    assert found["progress"] == {
        "at": "2026-11-22T20:01:00.000000Z",
        "phase": "write",
        "bytes_done": 5,
        "bytes_total": 9,
        "rate": 2,
        "error": None,
    }
    # Of one machine alone: it takes a look at its hardware, and at its image.
    assert (found.pop("architecture"), found.pop("state")) == (None, "flashing")
    assert server.operate("GET", "/api/v1/machines").json["machines"] == [found]


def test_one_that_waits_has_no_progress(server: Site) -> None:
    server.save()

    found = server.operate("GET", HERE).json

    assert (found["phase"], found["progress"], found["attempts"]) == ("idle", None, 0)


def test_one_that_is_not_there_is_404(server: Site) -> None:
    assert server.operate("GET", HERE).status_code == 404
    assert server.operate("GET", "/api/v1/machines/zz").status_code == 400
    assert server.get(HERE).status_code == 401
