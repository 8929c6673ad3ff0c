"""The doctor over HTTP: what the command prints, without waiting for other hosts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bty_app import __version__
from bty_app.cli.main import main
from bty_app.services.doctor import CHECKS
from tests.serving import Site

PATH = "/api/v1/doctor"
ASKING = {check.name for check in CHECKS if check.asks_others}


def test_before_an_examination_it_has_what_asks_nobody(server: Site) -> None:
    found = server.operate("GET", PATH).json

    assert (found["version"], found["looked_at"]) == (__version__, None)
    assert found["level"] in {"ok", "note", "warning", "fault"}
    checks = {row["check"] for row in found["findings"]}
    assert "live-environment" in checks
    assert not checks & ASKING


def test_an_examination_is_a_job_and_its_findings_stay(server: Site) -> None:
    job = server.operate("POST", PATH)
    again = server.operate("POST", PATH)
    work = server.services.jobs.next()
    assert work is not None
    work()
    found = server.operate("GET", PATH).json

    assert (job.status_code, job.json["kind"]) == (202, "doctor")
    assert again.status_code == 409
    assert found["looked_at"] is not None
    assert {row["check"] for row in found["findings"]} & ASKING
    worst = max(
        (row["level"] for row in found["findings"]),
        key=["ok", "note", "warning", "fault"].index,
    )
    assert found["level"] == worst
    assert all(row["remedy"] != "" for row in found["findings"])


def test_it_is_of_the_form_that_the_command_prints(
    server: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--state-dir", str(tmp_path / "none"), "doctor", "--json"])
    printed = json.loads(capsys.readouterr().out)

    found = server.operate("GET", PATH).json

    assert list(found) == list(printed)
    assert list(found["findings"][0]) == list(printed["findings"][0])


def test_it_is_for_operators(server: Site) -> None:
    assert server.get(PATH).status_code == 401
    assert server.ask("POST", PATH).status_code == 401
