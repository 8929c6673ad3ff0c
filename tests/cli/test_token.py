"""`bty token`, straight on the state directory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bty_app.cli.main import main
from tests.fresh_state import make_state


@pytest.fixture
def state(quick_dir: Path) -> str:
    make_state(quick_dir)
    return str(quick_dir)


def bty(state: str, *words: str) -> int:
    return main(["--state-dir", state, "token", *words])


def test_a_token_is_made_listed_and_revoked(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert bty(state, "create", "ci", "--scope", "operate", "--expires", "30") == 0
    made = capsys.readouterr()
    token = made.out.strip()
    assert token.startswith("bty_")
    assert token not in made.err
    assert "may operate" in made.err

    assert bty(state, "list") == 0
    listed = capsys.readouterr().out
    assert "ci" in listed
    assert "operate" in listed
    assert token.rpartition("_")[2] not in listed

    assert bty(state, "list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["id"] == token.split("_")[1]
    assert not {"token", "token_hash"} & set(rows[0])

    assert bty(state, "revoke", "ci") == 0
    assert bty(state, "revoke", "ci") == 66
    capsys.readouterr()
    assert bty(state, "list") == 0
    assert "no token" in capsys.readouterr().out


def test_what_is_wrong_is_said_in_a_line(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert bty(state, "create", "ci", "--expires", "soon") == 65
    assert "a number of days" in capsys.readouterr().err
    assert bty(state, "create", "ci", "--scope", "root") == 2
    assert bty(state, "create", "ci") == 0
    assert bty(state, "create", "ci") == 75
