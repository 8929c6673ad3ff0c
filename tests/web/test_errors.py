"""Failures become answers of one shape."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bty_app import errors
from bty_app.config import Tuning
from bty_app.web.errors import status_of
from tests import serving
from tests.serving import MAC, Site


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.ValidationError("x"), 422),
        (errors.InvalidInputError("x"), 400),
        (errors.NotAuthenticatedError("x"), 401),
        (errors.NotFoundError("x"), 404),
        (errors.ConflictError("x"), 409),
        (errors.TooLargeError("x"), 413),
        (errors.ThrottledError("x", retry_after=7), 429),
        (errors.UnavailableError("x"), 503),
        (errors.StorageError("x"), 503),
        (errors.BtyError("x"), 500),
    ],
)
def test_each_failure_has_its_status(error: errors.BtyError, status: int) -> None:
    assert status_of(error) == status


def test_an_unknown_path_is_answered_in_the_contracts_words(server: Site) -> None:
    answer = server.get("/nothing")

    assert (answer.status_code, answer.json) == (404, {"detail": "Not Found"})
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/healthz", {"GET", "HEAD"}),
        ("GET", f"/pxe/{MAC}/done", {"POST"}),
        ("POST", f"/pxe/{MAC}", {"GET", "HEAD"}),
        ("HEAD", f"/pxe/{MAC}/inventory", {"POST"}),
    ],
)
def test_a_wrong_method_is_405_and_the_right_ones_are_named(
    server: Site, method: str, path: str, allowed: set[str]
) -> None:
    answer = server.ask(method, path)

    assert answer.status_code == 405
    assert allowed <= set(answer.headers["allow"].replace(" ", "").split(","))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/machines"),
        ("GET", f"/machines/{MAC}"),
        ("PUT", f"/machines/{MAC}"),
        ("DELETE", f"/machines/{MAC}"),
        ("GET", f"/machines/{MAC}/lshw.json"),
        ("GET", f"/machines/{MAC}/disks.json"),
        ("GET", "/events"),
        ("POST", "/events/1/ack"),
        ("GET", "/catalog/entries"),
        ("POST", "/catalog/import"),
    ],
)
def test_what_is_the_operators_asks_for_a_login(server: Site, method: str, path: str) -> None:
    answer = server.ask(method, path, json={} if method in {"PUT", "POST"} else None)

    assert (answer.status_code, answer.json) == (401, {"detail": "login required"})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 303),
        ("HEAD", "/", 200),
        ("GET", "/healthz", 200),
        ("GET", "/version", 200),
        ("GET", "/pxe-bootstrap.ipxe", 200),
        ("GET", f"/pxe/{MAC}", 200),
        ("GET", f"/pxe/{MAC}/plan", 200),
        ("GET", f"/boot/{serving.KERNEL}", 200),
        ("GET", "/images", 200),
        ("GET", "/catalog.toml", 200),
        ("GET", "/metrics", 200),
    ],
)
def test_what_is_open_asks_for_none(server: Site, method: str, path: str, status: int) -> None:
    assert server.ask(method, path).status_code == status


def test_a_bug_is_one_sentence_to_the_client_and_a_traceback_in_the_log(
    server: Site, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        open_to_all = True

        def on_get(self, _req: object, _resp: object) -> None:
            raise ZeroDivisionError("secret detail")

    server.app.add_route("/broken", Broken())

    with caplog.at_level(logging.ERROR):
        answer = server.get("/broken")

    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] in answer.json["detail"]
    assert any(record.exc_info for record in caplog.records)


def test_a_wait_that_helps_is_named(quick_dir: Path) -> None:
    few = Tuning(discovery_burst=1, discovery_per_minute=1)
    with serving.site(quick_dir, tuning=few) as site:
        site.post(f"/pxe/{MAC}/done")
        answer = site.post(f"/pxe/{MAC}/done")

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "30")
    assert "192.0.2.0/24" in answer.json["detail"]
