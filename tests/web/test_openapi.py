"""The document of the API: every route is in it, it is valid, and what it declares is true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import falcon.inspect
import jsonschema_rs
import pytest

from bty_app.domain.event_filters import NAMES
from bty_app.web.api import events_v1
from bty_app.web.records import Record
from bty_app.web.scopes import is_for_people, scope_of
from tests.docs.routes import _found
from tests.serving import MAC, Site
from tests.serving import site as serving_site
from tests.web import walk
from tests.web.past import add_past

_FIELD = re.compile(r"\{([a-z_]+)(?::[^}]*)?\}", re.ASCII)
CONTROL = re.compile(r"[\x00-\x1f]")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving_site(tmp_path_factory.mktemp("api") / "state") as site:
        yield site


@pytest.fixture(scope="module")
def document(served: Site) -> dict[str, Any]:
    found: dict[str, Any] = served.get("/openapi.json").json
    return found


def routes(site: Site) -> Iterator[tuple[str, str, object]]:
    """Method, path and resource of everything that is no page."""
    for info in falcon.inspect.inspect_routes(site.app):
        path = _FIELD.sub(r"{\1}", info.path)
        if not is_for_people(path) and not path.startswith("/static/"):
            resource, _methods = _found(site.app, info.path)
            for method in (m.method for m in info.methods if not m.internal):
                yield method, path, resource


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def records(schema: Any) -> Iterator[Any]:
    """Every schema in the document that has examples."""
    if isinstance(schema, dict):
        if "examples" in schema:
            yield schema
        for inner in schema.values():
            yield from records(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from records(inner)


def test_every_route_that_is_no_page_is_declared_and_nothing_else_is(
    served: Site, document: dict[str, Any]
) -> None:
    there = {(method, path) for method, path, _resource in routes(served)}
    declared = {(method, path) for method, path, _operation in operations(document)}

    assert there - declared == set()
    assert declared - there == set()
    assert len(there) > 70


def test_each_operation_says_what_it_is_and_needs(served: Site, document: dict[str, Any]) -> None:
    resources = {(method, path): resource for method, path, resource in routes(served)}
    names = [operation["operationId"] for _method, _path, operation in operations(document)]

    assert len(names) == len(set(names))
    for method, path, operation in operations(document):
        assert operation["summary"].endswith((".", "…")) or len(operation["summary"]) > 10, path
        resource = resources[(method, path)]
        closed = method in getattr(resource, "closed_methods", ())
        if getattr(resource, "open_to_all", False) and not closed:
            assert operation["security"] == []
        else:
            scope = scope_of(resource, method).value
            assert operation["security"] == [{"token": [scope]}, {"session": []}]
            assert {"401", "403", "429"} <= set(operation["responses"])


def test_every_schema_is_one_and_every_example_fits(document: dict[str, Any]) -> None:
    components = document["components"]
    found = list(records(document))

    for name, schema in components["schemas"].items():
        jsonschema_rs.Draft202012Validator(schema | {"components": components}), name
    assert len(found) >= 6
    for schema in found:
        check = jsonschema_rs.Draft202012Validator(schema | {"components": components})
        assert all(check.is_valid(example) for example in schema["examples"]), schema


def test_a_reference_leads_somewhere(document: dict[str, Any]) -> None:
    text = str(document)

    for kind, name in set(re.findall(r"#/components/([a-z]+)/(\w+)", text)):
        assert name in document["components"][kind]
    for name in document["components"]["schemas"]:
        assert f"#/components/schemas/{name}" in text, name


def test_it_is_written_once_and_asked_for_once(served: Site) -> None:
    first = served.get("/openapi.json")
    again = served.get("/openapi.json", headers={"If-None-Match": first.headers["etag"]})
    other = served.get("/openapi.json", headers={"If-None-Match": '"another"'})
    head = served.ask("HEAD", "/openapi.json")

    assert first.json["openapi"].startswith("3.1.")
    assert (again.status_code, again.content) == (304, b"")
    assert other.content == first.content
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == first.headers["etag"]
    assert first.headers["content-type"] == "application/json"


def test_it_says_nothing_of_this_site(served: Site) -> None:
    assert str(served.state_dir) not in served.get("/openapi.json").text


def test_the_filters_of_events_are_those_of_the_page() -> None:
    assert set(events_v1._FILTERS) == NAMES


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("POST", "/api/v1/tokens", {"name": "x", "scope": "all"}, "scope"),
        ("POST", "/api/v1/tokens", {"scope": "read"}, "name"),
        ("POST", "/api/v1/tokens", {"name": "x", "expires_days": 0}, "expires_days"),
        ("POST", "/api/v1/tokens", {"name": "x", "more": 1}, "more"),
        ("POST", "/api/v1/tokens", {"name": 7}, "name"),
        ("PATCH", "/api/v1/settings", {"boot.max_attempts": 7}, "boot.max_attempts"),
        ("PATCH", "/api/v1/settings", {"nothing.like.it": "7"}, "nothing.like.it"),
        ("POST", "/api/v1/catalog/fetch", {"force": "yes"}, "force"),
        ("POST", "/api/v1/artifacts/fetch", {"tag": "-x"}, "tag"),
        ("POST", "/api/v1/events/acknowledge", {"up_to": True}, "up_to"),
        ("POST", "/api/v1/events/acknowledge", {}, "up_to"),
        ("POST", "/api/v1/machines/bulk/preview", {"macs": [], "act": "no"}, "act"),
        ("PATCH", "/api/v1/backups/then", {"pinned": 1}, "pinned"),
        ("PATCH", "/api/v1/backups/then", {}, "pinned"),
        ("POST", "/api/v1/backups/then/verify?drill=perhaps", None, "drill"),
        ("POST", "/api/v1/backups/then/restore", {"macs": "all"}, "macs"),
        ("POST", "/api/v1/backups/then/restore", {"mac": []}, "mac"),
        ("POST", "/api/v1/backups/then/restore", {"macs": [MAC] * 1001}, "macs"),
        ("POST", "/api/v1/restore/undo", {"digest": 7}, "digest"),
        ("POST", "/api/v1/archives/then/recover", {"parts": []}, "parts"),
        ("POST", "/api/v1/archives/then/recover", {"parts": ["disks"]}, "parts[0]"),
        ("POST", "/api/v1/migration/leaving", {"to": "http://x/y"}, "to"),
        ("POST", "/api/v1/migration/leaving", {"to": "http://x", "anyway": 1}, "anyway"),
        ("POST", "/api/v1/migration/moved", {"copy": "x"}, "copy"),
        ("GET", "/api/v1/machines?limit=0", None, "limit"),
        ("GET", "/api/v1/machines?limit=501", None, "limit"),
        ("GET", "/api/v1/machines?limit=ten", None, "limit"),
        ("GET", "/api/v1/machines?mode=nothing", None, "mode"),
        ("GET", "/api/v1/machines?lable=x", None, "lable"),
        ("GET", "/api/v1/machines?label=x&label=y", None, "label"),
        ("GET", "/api/v1/events?failed=perhaps", None, "failed"),
        ("GET", "/api/v1/events?since=then", None, "since"),
    ],
)
def test_what_is_wrong_is_refused_by_its_name(
    served: Site, method: str, path: str, body: Any, named: str
) -> None:
    answer = served.operate(method, path, json=body)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["detail"].startswith(f"{named}: ")
    assert answer.json["status"] == 422
    assert not CONTROL.search(answer.json["detail"])


def fits(document: dict[str, Any], method: str, path: str, answer: Any) -> bool:
    """Whether a body is what the document says of the answers of an address."""
    declared = document["paths"][path][method]["responses"][str(answer.status_code)]
    schema = declared["content"]["application/json"]["schema"]
    whole = schema | {"components": document["components"]}
    return jsonschema_rs.Draft202012Validator(whole).is_valid(answer.json)


def test_what_restores_and_moves_answer_is_what_is_declared(
    served: Site, document: dict[str, Any]
) -> None:
    add_past(served)
    for path, body in (
        ("/api/v1/backups/{backup_id}/restore", {"keep_boot_modes": True}),
        ("/api/v1/restore/undo", {}),
        ("/api/v1/archives/{archive}/recover", {"parts": ["bindings", "hardware"]}),
    ):
        address = path.format(backup_id=walk.BACKUP, archive=walk.ARCHIVE)
        shown = served.operate("POST", address, json=body)
        done = served.operate("POST", address, json={**body, "digest": shown.json["digest"]})

        assert (shown.json["done"], done.json["done"]) == (False, True)
        assert fits(document, "post", path, shown), shown.json
        assert fits(document, "post", path, done), done.json
    here = "/api/v1/migration"
    leaving = served.operate("POST", f"{here}/leaving", json={"to": "http://192.0.2.9"})
    assert fits(document, "post", f"{here}/leaving", leaving), leaving.text
    copy = next(row for row in leaving.json["files"] if row["name"] == "state.db")["sha256"]
    assert fits(document, "get", here, served.operate("GET", here))
    assert served.operate("DELETE", f"{here}/leaving").status_code == 204
    late = served.operate("POST", f"{here}/moved", json={"copy": copy})
    assert late.status_code == 409, "changes are taken again"


def test_settings_that_are_not_named_stay(served: Site) -> None:
    served.operate("PATCH", "/api/v1/settings", json={"boot.max_attempts": "7"})

    done = served.operate("PATCH", "/api/v1/settings", json={"boot.grace_seconds": None})
    rows = {row["key"]: row for row in served.operate("GET", "/api/v1/settings").json["settings"]}

    assert done.status_code == 200, done.text
    assert rows["boot.max_attempts"]["value"] == "7"


def test_a_record_that_is_open_takes_what_it_does_not_know() -> None:
    assert Record({}, is_open=True).checked({"more": 1}) == {}
