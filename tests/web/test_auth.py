"""The door: cookie, throttle, and proof that a browser comes from our own pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import falcon.inspect
import falcon.testing
import pytest

from bty_app.store import machines
from tests.web.site import MAC, PASSWORD, Hands, Site, form, site

BROWSER = {"Origin": "http://falconframework.org", "Accept": "text/html"}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "state") as made:
        yield made


def login_token(house: Site) -> str:
    page = house.client().simulate_get("/ui/login").text
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def log_in(house: Site, headers: dict[str, str], **fields: str) -> falcon.testing.Result:
    return house.client().simulate_post("/ui/login", **form(headers, **fields))


def test_a_script_logs_in_with_the_password_alone_and_uses_the_api(house: Site) -> None:
    client = house.client()
    answer = client.simulate_post("/ui/login", **form(password=PASSWORD))
    assert answer.status_code == 303
    cookie = {"Cookie": f"bty-token={answer.cookies['bty-token'].value}"}

    put = client.simulate_put(f"/machines/{MAC}", json={"boot_mode": "bty-tui"}, headers=cookie)
    gone = client.simulate_delete(f"/machines/{MAC}", headers=cookie)

    assert put.status_code == 200
    assert gone.status_code == 204


def test_a_script_may_send_the_login_form_as_multipart(house: Site) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="password"\r\n\r\n'
        + PASSWORD.encode()
        + b"\r\n--x--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}

    answer = house.client().simulate_post("/ui/login", body=body, headers=headers)

    assert answer.status_code == 303


def test_the_cookie_is_kept_from_scripts_and_other_sites(house: Site) -> None:
    answer = log_in(house, {}, password=PASSWORD)

    cookie = answer.headers["set-cookie"]
    for attribute in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=604800"):
        assert attribute in cookie
    assert "Secure" not in cookie


def test_the_cookie_stays_on_https_where_the_public_url_is_https(tmp_path: Path) -> None:
    with site(tmp_path / "state", public_url="https://bty.example") as house:
        assert "Secure" in log_in(house, {}, password=PASSWORD).headers["set-cookie"]


def test_a_wrong_password_gets_the_page_and_no_cookie(house: Site) -> None:
    answer = log_in(house, {}, password="wrong")

    assert answer.status_code == 403
    assert "That is not the password." in answer.text
    assert "set-cookie" not in answer.headers


def test_a_missing_password_is_a_bad_form(house: Site) -> None:
    assert log_in(house, {}, name="x").status_code == 422


def test_too_many_guesses_are_told_when_to_come_back(house: Site) -> None:
    for _ in range(5):
        log_in(house, {}, password="wrong")

    answer = log_in(house, {}, password=PASSWORD)

    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    assert "try again in 1 s" in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/machines"),
        ("GET", f"/machines/{MAC}"),
        ("PUT", f"/machines/{MAC}"),
        ("DELETE", f"/machines/{MAC}"),
        ("GET", "/events"),
        ("POST", "/events/1/ack"),
        ("GET", "/catalog/entries"),
        ("POST", "/catalog/entries"),
        ("POST", "/catalog/import"),
    ],
)
def test_the_api_is_closed(house: Site, method: str, path: str) -> None:
    answer = house.client().simulate_request(method, path)

    assert answer.status_code == 401
    assert answer.json == {"detail": "login required"}


def test_every_route_is_closed_but_those_that_are_open_by_design(house: Site) -> None:
    opened = (
        {
            "/",
            "/healthz",
            "/readyz",
            "/version",
            "/metrics",
            "/images",
            "/catalog.toml",
            "/client.pyz",
            "/openapi.json",
        }
        | {"/pxe-bootstrap.ipxe", "/boot/{name:path}", "/static/{name}", "/ui/login"}
        | {
            f"/pxe/{{mac}}{part}"
            for part in ("", "/plan", "/inventory", "/status", "/done", "/booted")
        }
        | {"/pxe/{mac}/progress"}
    )

    for route in falcon.inspect.inspect_routes(house.app):
        found = house.app._router.find(re.sub(r"{[^}]+}", "1", route.path))
        assert found is not None
        assert getattr(found[0], "open_to_all", False) == (route.path in opened), route.path


@pytest.mark.parametrize("path", ["/ui", "/ui/machines", f"/ui/machines/{MAC}", "/ui/events"])
def test_pages_lead_to_the_login(house: Site, path: str) -> None:
    answer = house.client().simulate_get(path)

    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/login")


def test_an_open_page_is_led_to_the_login_as_a_whole(house: Site) -> None:
    answer = house.client().simulate_get("/ui/machines/rows", headers={"HX-Request": "true"})

    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/ui/login")


@pytest.mark.parametrize("cookie", ["", "x", "null", "a.b.c", "\x7f", "eyJidHlfYXV0aGVkIjp0cnVlfQ"])
def test_made_up_cookies_open_nothing(house: Site, cookie: str) -> None:
    answer = house.client().simulate_get("/machines", headers={"Cookie": f"bty-token={cookie}"})

    assert answer.status_code == 401


def test_logout_ends_copied_cookies_too(house: Site) -> None:
    visit = house.visit()

    answer = visit.post("/ui/logout")

    assert answer.headers["location"] == "/ui/login"
    assert answer.headers["set-cookie"].startswith('bty-token=""; expires=')
    assert visit.get("/machines").status_code == 401


def test_a_used_session_renews_its_cookie(tmp_path: Path) -> None:
    hands = Hands()
    with site(tmp_path / "state", hands=hands) as house:
        visit = house.visit()
        assert "set-cookie" not in visit.get("/ui/machines").headers

        hands.forward(minutes=11)

        assert visit.token in visit.get("/ui/machines").headers["set-cookie"]


def test_another_password_ends_all_sessions(tmp_path: Path) -> None:
    with site(tmp_path / "state") as house:
        token = house.token()
    with site(tmp_path / "state", password="another") as house:
        answer = house.client().simulate_get("/machines", headers={"Cookie": f"bty-token={token}"})

    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/ui/logout", f"/ui/machines/{MAC}", "/ui/events/acknowledge"])
@pytest.mark.parametrize("token", ["", "0" * 64])
def test_a_form_without_our_token_is_refused(house: Site, path: str, token: str) -> None:
    house.add_machine()
    visit = house.visit()

    assert visit.post(path, csrf_token=token).status_code == 403


def test_the_form_token_of_another_session_is_refused(house: Site) -> None:
    stranger = house.visit().csrf_token()

    assert house.visit().post("/ui/logout", csrf_token=stranger).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://falconframework.org"}, 200),
        ({"Origin": "https://falconframework.org"}, 200),
        ({"Origin": "http://falconframework.org:80"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://falconframework.org:8081"}, 403),
        ({"Origin": "http://falconframework.org.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[oops"}, 403),
        ({"Origin": "http://a:99999"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://falconframework.org"}, 403),
    ],
)
def test_another_sites_page_changes_nothing(
    house: Site, headers: dict[str, str], status: int
) -> None:
    cookie = {"Cookie": f"bty-token={house.token()}"}

    answer = house.client().simulate_put(f"/machines/{MAC}", json={}, headers=cookie | headers)

    assert answer.status_code == status
    exists = house.database.read(lambda tx: machines.get(tx, MAC)) is not None
    assert exists == (status == 200)


def test_the_public_url_counts_as_our_origin(tmp_path: Path) -> None:
    with site(tmp_path / "state", public_url="https://bty.example:8443") as house:
        cookie = {"Cookie": f"bty-token={house.token()}"}
        ours = cookie | {"Origin": "https://bty.example:8443"}

        answer = house.client().simulate_put(f"/machines/{MAC}", json={}, headers=ours)

    assert answer.status_code == 200


def test_a_browser_needs_our_login_form(house: Site) -> None:
    assert log_in(house, BROWSER, password=PASSWORD).status_code == 403

    answer = log_in(house, BROWSER, password=PASSWORD, csrf_token=login_token(house))

    assert answer.status_code == 303


def test_another_site_cannot_log_a_browser_in(house: Site) -> None:
    headers = {"Origin": "http://evil.example"}
    fields = {"password": PASSWORD, "csrf_token": login_token(house)}

    assert log_in(house, headers, **fields).status_code == 403


def test_a_login_page_that_was_left_open_is_given_again(tmp_path: Path) -> None:
    hands = Hands()
    with site(tmp_path / "state", hands=hands) as house:
        token = login_token(house)
        hands.forward(hours=25)

        answer = log_in(house, BROWSER, password=PASSWORD, csrf_token=token)

    assert answer.status_code == 403
    assert "open for too long" in answer.text


def test_somebody_who_is_logged_in_needs_no_login_page(house: Site) -> None:
    answer = house.visit().get("/ui/login")

    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/dashboard")


def test_a_huge_form_is_refused_unread(house: Site) -> None:
    assert log_in(house, {}, password="x" * 70_000).status_code == 413


def test_a_form_of_many_fields_is_refused(house: Site) -> None:
    request = form()
    request["body"] = "a=1&" * 2000

    assert house.client().simulate_post("/ui/login", **request).status_code == 422


@pytest.mark.parametrize("path", ["/ui/login", "/ui/machines", f"/ui/machines/{MAC}", "/ui/events"])
def test_pages_allow_only_what_is_ours(house: Site, path: str) -> None:
    house.add_machine()
    page = house.client().simulate_get(path) if path == "/ui/login" else house.visit().get(path)

    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "same-origin"
    assert page.headers["x-content-type-options"] == "nosniff"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script>" not in page.text
    assert not re.search(r"\s(style|on[a-z]+)=", page.text)


def test_a_person_gets_a_page_and_a_script_gets_json_when_it_fails(house: Site) -> None:
    visit = house.visit()

    assert visit.get(f"/ui/machines/{MAC}").json == {"detail": f"no machine record for {MAC}"}
    page = visit.get(f"/ui/machines/{MAC}", Accept="text/html")

    assert page.status_code == 404
    assert f"no machine record for {MAC}" in page.text
    assert "content-security-policy" in page.headers


@pytest.mark.parametrize(
    "head",
    [
        b'name="\xff"',
        b'name="a"; filename="\xff"',
        b"name*=utf-8''%FF",
        b"name*=nonsense''x",
        b"",
    ],
)
def test_a_form_that_cannot_be_read_is_no_failure_of_ours(house: Site, head: bytes) -> None:
    body = b"--x\r\nContent-Disposition: form-data; " + head + b"\r\n\r\ny\r\n--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}

    answer = house.client().simulate_post("/ui/login", headers=headers, body=body)

    assert answer.status_code == 422
