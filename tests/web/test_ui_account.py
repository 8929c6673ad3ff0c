"""The account page: password, sessions, tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bty_app.domain.browsers import in_words
from bty_app.errors import StorageError
from bty_app.services import passwords
from tests.web.site import PASSWORD, Site, Visit, form, site

PATH = "/ui/account"
NEW = "a much longer phrase ä"


@pytest.fixture
def house(quick_dir: Path) -> Iterator[Site]:
    """Nothing configures its password; the file has it."""
    state = quick_dir / "state"
    state.mkdir()
    (state / "admin-password").write_text(f"{PASSWORD}\n", "utf-8")
    with site(state, password="") as made:
        yield made


def change(visit: Visit, current: str = PASSWORD, new: str = NEW, again: str | None = None) -> int:
    fields = {"current": current, "new": new, "again": new if again is None else again}
    return visit.post(f"{PATH}/password", **fields).status_code


def kept(house: Site) -> str:
    return (house.database.path.parent / "admin-password").read_text("utf-8")


def log_in(house: Site, password: str) -> int:
    return house.client().simulate_post("/ui/login", **form(password=password)).status_code


def is_in(visit: Visit) -> bool:
    return visit.get("/machines").status_code == 200


def test_a_new_password_counts_at_once_and_ends_other_sessions(house: Site) -> None:
    visit, other = house.visit(), house.visit()

    assert change(visit) == 303

    assert kept(house) == f"{NEW}\n"
    assert (house.database.path.parent / "admin-password").stat().st_mode & 0o777 == 0o600
    assert (log_in(house, PASSWORD), log_in(house, NEW)) == (403, 303)
    assert is_in(visit)
    assert not is_in(other)


def test_after_a_restart_the_new_password_counts_and_the_session_stays(quick_dir: Path) -> None:
    state = quick_dir / "state"
    state.mkdir()
    (state / "admin-password").write_text(f"{PASSWORD}\n", "utf-8")
    with site(state, password="") as before:
        token = before.token()
        assert change(Visit(before, token)) == 303
    with site(state, password="") as after:
        assert is_in(Visit(after, token))
        assert log_in(after, NEW) == 303


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"current": "wrong and long"}, 403, "is not the password"),
        ({"new": "short"}, 422, "at least 12 characters"),
        ({"new": "with\ttab and length"}, 422, "one line of text"),
        ({"new": " spaces around it "}, 422, "one line of text"),
        ({"again": "something else"}, 422, "is not the same"),
        ({"new": "x" * 1025}, 422, "at most 1024"),
    ],
)
def test_what_cannot_be_taken_is_said_beside_its_field(
    house: Site, fields: dict[str, str], status: int, said: str
) -> None:
    visit = house.visit()
    sent = {"current": PASSWORD, "new": NEW} | fields
    answer = visit.post(f"{PATH}/password", **({"again": sent["new"]} | sent))

    assert answer.status_code == status
    assert said in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert kept(house) == f"{PASSWORD}\n"
    assert NEW not in answer.text


def test_the_current_password_cannot_be_guessed_here(house: Site) -> None:
    visit = house.visit()

    answers = [change(visit, current="a wrong guess") for _ in range(7)]

    assert answers == [403] * 5 + [429] * 2


def test_a_password_of_the_configuration_is_shown_as_fixed(quick_dir: Path) -> None:
    with site(quick_dir / "state") as house:
        visit = house.visit()
        text = visit.get(PATH).text

        assert "It is fixed by" in text
        assert 'name="current"' not in text
        assert change(visit) == 409
        answer = house.client().simulate_post(
            "/api/v1/account/password",
            json={"current": PASSWORD, "new": NEW},
            headers={"Cookie": f"bty-token={visit.token}"},
        )
        assert answer.status_code == 409


def test_when_the_database_cannot_be_written_the_password_is_as_before(
    house: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = house.visit()
    sent = {"current": PASSWORD, "new": NEW, "again": NEW, "csrf_token": visit.csrf_token()}

    def full(_change: object) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(type(house.database), "write", lambda _self, change: full(change))
        answer = visit.post(f"{PATH}/password", **sent)

    assert answer.status_code == 503
    assert kept(house) == f"{PASSWORD}\n"
    assert log_in(house, PASSWORD) == 303


def test_no_password_is_in_the_audit_log_or_the_database(house: Site) -> None:
    visit = house.visit()
    change(visit)

    found = visit.get("/events?kind=auth.password.changed").json["events"]

    assert found[0]["details"] == {"sessions_ended": 0}
    assert NEW.encode() not in house.database.path.read_bytes()
    wal = house.database.path.with_name("state.db-wal")
    assert not wal.exists() or NEW.encode() not in wal.read_bytes()


def test_sessions_are_listed_in_words_and_ended(house: Site) -> None:
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    sent = form({"User-Agent": agent}, password=PASSWORD)
    token = house.client().simulate_post("/ui/login", **sent).cookies["bty-token"].value
    other = Visit(house, str(token))
    visit = house.visit()
    text = visit.get(PATH).text
    ids = re.findall(r'name="id" value="([0-9a-f]{16})"', text)

    assert "Firefox on Linux" in text
    assert text.count("this one") == 1
    assert len(ids) == 1

    assert visit.post(f"{PATH}/sessions/end", id=ids[0]).status_code == 303
    assert is_in(visit)
    assert not is_in(other)
    assert visit.post(f"{PATH}/sessions/end", id=ids[0]).status_code == 303


def test_all_others_are_ended(house: Site) -> None:
    visit, others = house.visit(), [house.visit() for _ in range(3)]

    visit.post(f"{PATH}/sessions/end", others="1")

    assert [is_in(one) for one in others] == [False] * 3
    assert is_in(visit)
    found = visit.get("/events?kind=auth.sessions.revoked").json["events"]
    assert [event["details"] for event in found] == [{"sessions_ended": 3}]


def test_a_token_is_made_on_the_page_and_shown_once(house: Site) -> None:
    visit = house.visit()

    answer = visit.post(f"{PATH}/tokens", name="<b>ci</b>", scope="operate", expires="30")
    found = re.search(r"bty_[0-9a-f]{10}_[\w-]{43}", answer.text)
    assert found is not None

    assert answer.headers["cache-control"] == "no-store"
    assert "&lt;b&gt;ci" in answer.text
    assert found[0] not in visit.get(PATH).text
    headers = {"Authorization": f"Bearer {found[0]}"}
    assert house.client().simulate_get("/machines", headers=headers).status_code == 200

    visit.post(f"{PATH}/tokens/{found[0].split('_')[1]}/revoke")
    assert house.client().simulate_get("/machines", headers=headers).status_code == 401


def test_a_token_that_cannot_be_made_is_said_and_what_was_entered_stays(house: Site) -> None:
    answer = house.visit().post(f"{PATH}/tokens", name="ci", scope="operate", expires="soon")

    assert answer.status_code == 422
    assert "a number of days" in answer.text
    assert 'value="ci"' in answer.text
    assert 'value="soon"' in answer.text
    assert 'value="operate" selected' in answer.text


@pytest.mark.parametrize("path", ["password", "sessions/end", "tokens", "tokens/x/revoke"])
def test_a_form_of_another_site_does_nothing(house: Site, path: str) -> None:
    visit = house.visit()

    assert visit.post(f"{PATH}/{path}", csrf_token="x").status_code == 403


def test_the_api_lists_and_ends_sessions(house: Site) -> None:
    visit, other = house.visit(), house.visit()
    headers = {"Cookie": f"bty-token={visit.token}"}
    client = house.client()

    rows = client.simulate_get("/api/v1/sessions", headers=headers).json["sessions"]
    assert sorted(row["this_one"] for row in rows) == [False, True]
    theirs = next(row["id"] for row in rows if not row["this_one"])

    assert client.simulate_delete(f"/api/v1/sessions/{theirs}", headers=headers).status_code == 204
    assert not is_in(other)
    assert client.simulate_delete(f"/api/v1/sessions/{theirs}", headers=headers).status_code == 404
    assert client.simulate_delete("/api/v1/sessions", headers=headers).json == {"ended": 0}


def test_a_file_that_cannot_be_written_changes_nothing(
    house: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = house.visit()

    def full(*_any: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(passwords, "keep_password", full)

    assert change(visit) == 503
    assert log_in(house, PASSWORD) == 303


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (None, "unknown program"),
        ("curl/8.5.0", "curl"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140 Safari/537.36 Edg/140", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/140 Mobile Safari/537", "Chrome on Android"),
        ("x" * 200, "x" * 40),
    ],
)
def test_browsers_in_words(agent: str | None, words: str) -> None:
    assert in_words(agent) == words
