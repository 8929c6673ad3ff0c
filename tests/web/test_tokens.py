"""Scripts with tokens: who comes in, with what, and where."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import falcon.inspect
import falcon.testing
import pytest

from bty_app.domain.tokens import Scope
from bty_app.store import events
from bty_app.store import tokens as store
from bty_app.web.scopes import is_for_people, scope_of
from tests.docs.routes import _FIELD, _found
from tests.web.site import MAC, Site, form, site

Result = falcon.testing.Result
UNKNOWN = f"bty_{'0' * 10}_{'A' * 43}"
OTHER = "198.51.100.9"


@pytest.fixture
def house(quick_dir: Path) -> Iterator[Site]:
    with site(quick_dir / "state") as made:
        yield made


def made(house: Site, scope: str = "read", name: str = "script", days: str = "") -> str:
    return house.services.tokens.create(name, scope, days, ip=None)[1]


def ask(
    house: Site, token: str, path: str = "/machines", method: str = "GET", **more: Any
) -> Result:
    headers = {"Authorization": f"Bearer {token}"} | more.pop("headers", {})
    return house.client().simulate_request(method, path, headers=headers, **more)


def kinds(house: Site, kind: str) -> list[dict[str, Any]]:
    answer = house.visit().get(f"/events?kind={kind}")
    found: list[dict[str, Any]] = answer.json["events"]
    return found


def test_a_token_opens_what_is_closed(house: Site) -> None:
    assert house.client().simulate_get("/machines").status_code == 401
    assert ask(house, made(house)).status_code == 200


def test_a_token_is_kept_as_its_hash_alone(house: Site) -> None:
    token = made(house)
    rows = house.database.read(lambda tx: list(tx.rows("SELECT * FROM api_tokens")))

    secret = token.rpartition("_")[2]
    assert rows
    assert secret not in json.dumps(rows)
    assert token not in (house.database.path.read_bytes()).decode("latin-1")


@pytest.mark.parametrize("change", [lambda t: t[:-1] + "!", lambda t: t + "x", lambda t: t[4:]])
def test_a_token_that_is_not_exactly_it_is_none(house: Site, change: Any) -> None:
    answer = ask(house, change(made(house)))

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "detail" in answer.json


def test_the_id_with_another_secret_is_refused(house: Site) -> None:
    token = made(house)

    assert ask(house, token[:16] + UNKNOWN[16:]).status_code == 401


def test_a_revoked_token_counts_no_more(house: Site) -> None:
    token = made(house)
    house.services.tokens.revoke("script", ip=None)

    assert ask(house, token).status_code == 401


def test_a_token_ends_when_its_days_are_over(house: Site) -> None:
    token = made(house, days="2")
    house.hands.forward(days=1, hours=23)
    assert ask(house, token).status_code == 200

    house.hands.forward(hours=1)
    assert ask(house, token).status_code == 401
    assert kinds(house, "auth.token.failed")[0]["details"]["why"] == "expired"


@pytest.mark.parametrize(
    ("scope", "method", "path", "allowed"),
    [
        ("read", "GET", "/events", True),
        ("read", "POST", "/events/1/ack", False),
        ("read", "DELETE", "/machines/52:54:00:12:34:56", False),
        ("read", "GET", "/api/v1/tokens", False),
        ("operate", "POST", "/events/1/ack", True),
        ("operate", "DELETE", "/machines/52:54:00:12:34:56", True),
        ("operate", "GET", "/api/v1/tokens", False),
        ("admin", "GET", "/api/v1/tokens", True),
        ("admin", "POST", "/events/1/ack", True),
    ],
)
def test_a_scope_is_what_a_token_may(
    house: Site, scope: str, method: str, path: str, allowed: bool
) -> None:
    answer = ask(house, made(house, scope), path, method)

    assert (answer.status_code == 403) is not allowed, answer.text
    if not allowed:
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
        assert scope in answer.json["detail"]


def test_refusals_have_the_shape_of_their_route(house: Site) -> None:
    token = made(house)

    old, ours = ask(house, token, "/events/1/ack", "POST"), ask(house, token, "/api/v1/tokens")

    assert set(old.json) == {"detail"}
    assert ours.headers["content-type"] == "application/problem+json"
    assert set(ours.json) == {"type", "title", "status", "detail", "code"}
    assert (ours.json["status"], ours.json["code"]) == (403, "forbidden")
    assert ask(house, UNKNOWN, "/api/v1/jobs").json["title"] == "Unauthorized"


def test_pages_take_no_token(house: Site) -> None:
    assert ask(house, made(house, "admin"), "/ui/events").status_code == 403
    assert ask(house, made(house, "admin", "b"), "/ui/logout", "POST").status_code == 403


def test_a_token_needs_no_form_token_and_a_session_does(house: Site) -> None:
    elsewhere = {"Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site"}
    path = "/machines/52:54:00:12:34:56"

    with_token = ask(house, made(house, "operate"), path, "PUT", json={}, headers=elsewhere)
    cookie = {"Cookie": f"bty-token={house.token()}"} | elsewhere
    with_cookie = house.client().simulate_put(path, json={}, headers=cookie)

    assert with_token.status_code == 200
    assert with_cookie.status_code == 403


def test_a_wrong_token_is_not_saved_by_a_session(house: Site) -> None:
    answer = ask(house, UNKNOWN, headers={"Cookie": f"bty-token={house.token()}"})

    assert answer.status_code == 401


def test_wrong_tokens_are_throttled_and_nobody_else_is_locked_out(house: Site) -> None:
    token = made(house)
    answers = [ask(house, UNKNOWN, remote_addr=OTHER) for _ in range(8)]
    assert [a.status_code for a in answers] == [401] * 5 + [429] * 3
    assert int(answers[-1].headers["retry-after"]) > 0
    assert len(kinds(house, "auth.token.failed")) == 5

    assert ask(house, token, remote_addr=OTHER).status_code == 200
    assert ask(house, token).status_code == 200
    assert ask(house, UNKNOWN).status_code == 401
    assert house.token()  # the login has a throttle of its own


def test_the_last_use_is_written_off_the_path_of_the_request(house: Site) -> None:
    token = made(house)
    before = house.services.revisions.current("tokens")
    ask(house, token, remote_addr="192.0.2.44")
    house.hands.forward(seconds=5)
    ask(house, token, remote_addr="192.0.2.45")
    assert house.services.tokens.listed()[0].last_used_at is None
    assert house.services.revisions.current("tokens") == before

    house.services.tokens.note_uses()

    found = house.services.tokens.listed()[0]
    assert (found.last_used_at, found.last_used_ip) == (house.hands.now, "192.0.2.45")
    house.services.tokens.note_uses()
    assert len(kinds(house, "auth.token.created")) == 1


def test_the_api_makes_lists_and_revokes(house: Site) -> None:
    admin = made(house, "admin", "root")
    given = {"name": "ci", "scope": "operate", "expires_days": 30}

    answer = ask(house, admin, "/api/v1/tokens", "POST", json=given)
    token = answer.json["token"]
    listed = ask(house, admin, "/api/v1/tokens")

    assert answer.status_code == 201
    assert answer.json["expires_at"] == "2026-12-22T20:00:00.000000+00:00"
    assert ask(house, token).status_code == 200
    assert {row["name"] for row in listed.json["tokens"]} == {"ci", "root"}
    assert token not in listed.text
    assert "token_hash" not in listed.text

    gone = ask(house, admin, f"/api/v1/tokens/{answer.json['id']}", "DELETE")
    assert gone.status_code == 204
    assert ask(house, token).status_code == 401
    assert ask(house, admin, f"/api/v1/tokens/{answer.json['id']}", "DELETE").status_code == 404


@pytest.mark.parametrize(
    "given",
    [
        {"name": ""},
        {"name": "x" * 65},
        {"name": "a\nb"},
        {"name": 7},
        {"name": "a", "scope": "root"},
        {"name": "a", "expires_days": 0},
        {"name": "a", "expires_days": 3651},
        {"name": "a", "expires_days": "soon"},
        {"name": "a", "hash": "x"},
    ],
)
def test_a_bad_token_is_not_made(house: Site, given: dict[str, Any]) -> None:
    answer = ask(house, made(house, "admin", "root"), "/api/v1/tokens", "POST", json=given)

    assert answer.status_code == 422
    assert len(house.services.tokens.listed()) == 1


def test_a_name_is_taken_once(house: Site) -> None:
    admin = made(house, "admin", "root")

    answer = ask(house, admin, "/api/v1/tokens", "POST", json={"name": "root"})

    assert answer.status_code == 409


def test_acts_are_recorded_and_no_secret_is(house: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = made(house, "admin")
    ask(house, token)
    wrong = token[:16] + UNKNOWN[16:]
    ask(house, wrong)
    house.services.tokens.revoke(token.split("_")[1], ip=None)

    everything = house.visit().get("/events?limit=500").text + caplog.text
    everything += "".join(str(record.__dict__) for record in caplog.records)

    for kind in ("created", "failed", "revoked"):
        assert kinds(house, f"auth.token.{kind}")[0]["subject_id"] == token.split("_")[1]
    assert token[16:] not in everything
    assert wrong[16:] not in everything
    assert token.split("_")[1] in everything


def test_there_are_not_more_tokens_than_the_store_holds(
    house: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CAPACITY", 1)
    admin = made(house, "admin", "root")

    assert ask(house, admin, "/api/v1/tokens", "POST", json={"name": "b"}).status_code == 409


# -- every route -------------------------------------------------------------------------------

OPEN = {
    *("/", "/healthz", "/readyz", "/version", "/metrics", "/pxe-bootstrap.ipxe", "/client.pyz"),
    *("/pxe/{mac}", "/pxe/{mac}/plan", "/pxe/{mac}/inventory", "/pxe/{mac}/status"),
    *("/pxe/{mac}/done", "/pxe/{mac}/progress", "/pxe/{mac}/booted"),
    *("/boot/{name}", "/images", "/catalog.toml", "/openapi.json"),
    *("/ui/login", "/static/{name}"),
}
ADMIN = ("/api/v1/tokens", "/api/v1/sessions", "/api/v1/account", "/api/v1/settings")
RESTORING = ("restore", "webhooks")


def closed_routes(house: Site) -> Iterator[tuple[str, str, object]]:
    for info in falcon.inspect.inspect_routes(house.app):
        path = _FIELD.sub(r"{\1}", info.path)
        resource, _methods = _found(house.app, info.path)
        is_open = bool(getattr(resource, "open_to_all", False))
        assert not is_open or path in OPEN, f"{path} is open, and nobody wrote that down"
        for method in (m.method for m in info.methods if not m.internal):
            if not is_open or method in getattr(resource, "closed_methods", ()):
                yield method, path, resource


def test_every_closed_route_has_a_scope_that_fits_it(house: Site) -> None:
    found = list(closed_routes(house))
    assert len(found) > 60
    for method, path, resource in found:
        if is_for_people(path):
            assert not path.startswith("/api"), path
            continue
        needed = scope_of(resource, method)
        if path.startswith(ADMIN) or any(word in path for word in RESTORING):
            assert needed is Scope.ADMIN, f"{method} {path}"
        elif method in {"GET", "HEAD", "OPTIONS"}:
            assert needed in set(Scope), f"{method} {path}"
        else:
            assert Scope.OPERATE is needed or needed is Scope.ADMIN, f"{method} {path}"


def test_every_closed_route_refuses_without_a_credential(house: Site) -> None:
    """Asked, not read from the table: nothing is done before the door."""
    examples = {"mac": "52:54:00:12:34:56", "event_id": "1", "name": "x.vmlinuz", "number": "1"}
    client = house.client()
    for method, path, _resource in closed_routes(house):
        real = _FIELD.sub(lambda f: examples.get(f[1], "x"), path)
        answer = client.simulate_request(method, real)
        assert answer.status_code in {401, 303}, f"{method} {real}: {answer.status_code}"
        if answer.status_code == 303:
            assert answer.headers["location"] == "/ui/login"


def test_a_token_that_may_only_read_changes_nothing_anywhere(house: Site) -> None:
    token = made(house)
    examples = {"mac": "52:54:00:12:34:56", "event_id": "1", "name": "x.vmlinuz", "number": "1"}
    for method, path, _resource in closed_routes(house):
        if method in {"GET", "HEAD", "OPTIONS"}:
            continue
        real = _FIELD.sub(lambda f: examples.get(f[1], "x"), path)
        answer = ask(house, token, real, method)
        assert answer.status_code == 403, f"{method} {real}: {answer.status_code}"


def test_a_scope_is_a_class_attribute_of_the_resource(house: Site) -> None:
    for _method, path, resource in closed_routes(house):
        for name in ("scope", "scopes"):
            if hasattr(resource, name):
                assert name in dict(inspect.getmembers(type(resource))), path


def test_form_posts_of_tokens_are_refused_on_pages(house: Site) -> None:
    token = made(house, "admin")
    sent = form({"Authorization": f"Bearer {token}"}, **{"boot.max_attempts": "7"})

    assert house.client().simulate_post("/ui/settings", **sent).status_code == 403


def test_settings_are_read_and_changed_by_administrators_alone(house: Site) -> None:
    admin, path = made(house, "admin", "root"), "/api/v1/settings"

    done = ask(house, admin, path, "PATCH", json={"boot.max_attempts": "7"})
    rows = {row["key"]: row for row in ask(house, admin, path).json["settings"]}
    back = ask(house, admin, path, "PATCH", json={"boot.max_attempts": None})

    assert done.json == back.json == {"changed": ["boot.max_attempts"]}
    assert (rows["boot.max_attempts"]["value"], rows["boot.max_attempts"]["default"]) == ("7", "5")
    for given in ({"boot.max_attempts": "x"}, {"boot.max_attempts": 7}, {"nothing": "x"}):
        assert ask(house, admin, path, "PATCH", json=given).status_code == 422
    assert ask(house, made(house, "operate", "b"), path).status_code == 403


# -- who acted ---------------------------------------------------------------------------------


def newest(house: Site, kind: str) -> Any:
    return house.visit().get(f"/events?kind={kind}&limit=1").json["events"][0]


def test_an_event_of_a_script_names_its_token(house: Site) -> None:
    token = made(house, "operate", "deploy 7")

    ask(house, token, f"/machines/{MAC}", "PUT", json={"labels": ["a"]})
    found = newest(house, "machine.created")

    assert found["actor"] == "operator"
    assert found["summary"].endswith("(token deploy 7)")
    assert found["details"]["token"]["name"] == "deploy 7"
    assert found["details"]["labels"] == ["a"]
    assert token.startswith(f"bty_{found['details']['token']['id']}_")
    assert house.database.read(events.broken_at) is None


def test_the_next_request_is_nobody_elses(house: Site) -> None:
    """The thread is the same: tests ask in their own."""
    token = made(house, "operate", "deploy")
    ask(house, token, f"/machines/{MAC}", "PUT", json={})

    house.client().simulate_get("/pxe/02:00:00:00:00:01")
    house.visit().post(f"/ui/machines/{MAC}/delete")
    deleted = newest(house, "machine.deleted")

    assert "token" not in newest(house, "machine.discovered")["summary"]
    assert "token" not in deleted["summary"]
    assert deleted["details"] is None


def test_what_a_job_does_later_names_who_asked_for_it(house: Site) -> None:
    house.hands.now = datetime.now(UTC)  # the process that makes the backup has its own clock
    token = made(house, "operate", "nightly")
    ask(house, token, "/api/v1/backups", "POST")
    house.visit()  # somebody else comes in between, in this very thread
    work = house.services.jobs.next()
    assert work is not None
    work()

    for kind in ("backup.create.requested", "backup.create.started", "backup.created"):
        event = newest(house, kind)
        assert event["details"]["token"]["name"] == "nightly", kind
        assert event["summary"].endswith("(token nightly)")
    house.visit().post("/ui/backups")
    later = house.services.jobs.next()
    assert later is not None
    later()
    assert "token" not in newest(house, "backup.created")["summary"], "a person's is a person's"


def test_what_a_box_reports_with_a_token_is_the_boxs(house: Site) -> None:
    token = made(house, "admin", "deploy")

    ask(house, token, "/pxe/02:00:00:00:00:02")

    assert "token" not in newest(house, "machine.discovered")["summary"]


def test_a_token_that_may_not_has_acted_in_nothing(house: Site) -> None:
    token = made(house, "read", "deploy")

    assert ask(house, token, f"/machines/{MAC}", "PUT", json={}).status_code == 403
    cookie = {"Cookie": f"bty-token={house.token()}"}
    house.client().simulate_put(f"/machines/{MAC}", json={}, headers=cookie)

    assert "token" not in newest(house, "machine.created")["summary"]
