"""The netboot page: what machines boot, where it comes from, and what to tell DHCP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from bty_app import __version__
from bty_app.config import Tuning
from bty_app.domain.artifacts import ARM64, live_file
from bty_app.domain.events import Query
from bty_app.domain.settings import NETBOOT_REPO, NETBOOT_TAG
from bty_app.services.boot_servers import Name
from bty_app.store import settings
from tests.file_host import FileHost, file_host
from tests.netboot_set import made_set, packed, put
from tests.web.site import AT, Site, Visit, site

FETCH = "/ui/netboot/fetch-release"
UPLOAD = "/ui/netboot/upload"


@pytest.fixture
def house(quick_dir: Path) -> Iterator[Site]:
    with site(quick_dir / "state") as made:
        yield made


@pytest.fixture
def host(house: Site) -> Iterator[FileHost]:
    with file_host() as found:
        source = found.url("/")
        house.database.write(lambda tx: settings.put(tx, NETBOOT_REPO.key, source, at=AT))
        yield found


@pytest.fixture
def boot_dir(quick_dir: Path) -> Path:
    return quick_dir / "state" / "boot"


def serve(host: FileHost, version: str = __version__) -> None:
    for name, data in made_set(version).items():
        host.files[f"/v{version}/{name}"] = data


def work(house: Site) -> None:
    job = house.services.jobs.next()
    assert job is not None
    job()


def page(visit: Visit, path: str = "/ui/netboot") -> str:
    answer = visit.get(path)
    assert answer.status_code == 200
    return answer.text


def sent(visit: Visit, archive: bytes, name: str = "set.tar.gz", token: str | None = None) -> int:
    token = visit.csrf_token() if token is None else token
    return visit.upload(
        UPLOAD, ("csrf_token", None, token.encode()), ("file", name, archive)
    ).status_code


def poll_of(text: str) -> str:
    found = re.search(r'hx-get="(/ui/netboot/state[^"]+)"', text)
    assert found is not None
    return unescape(found[1])


# -- the state ----------------------------------------------------------------------------------


def test_a_fresh_server_says_what_is_missing_and_one_button_brings_it(
    house: Site, host: FileHost
) -> None:
    serve(host)
    visit = house.visit()
    text = page(visit)
    assert "No live environment is installed: fetch the netboot artifacts" in text
    button = re.search(r'form="mend" name="tag" value="([^"]+)"', text)
    assert button is not None

    answer = visit.post(FETCH, tag=button[1])
    queued = page(visit, answer.headers["location"])
    work(house)
    text = page(visit)

    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/netboot?done=asked")
    assert "A fetch is under way." in queued
    assert "/ui/jobs/1/cancel" in queued
    assert f"Live environment {__version__} is ready" in text
    assert 'form="mend"' not in text
    assert "current" in text
    assert host.url(f"/v{__version__}") in text
    for name in made_set(__version__):
        assert (name in text) == (not name.endswith(".sha256"))


def test_another_version_is_said_with_its_remedy(house: Site, boot_dir: Path) -> None:
    put(boot_dir, made_set("7.0"))

    text = page(house.visit())

    assert f"Machines boot the live environment 7.0, this server is {__version__}" in text
    assert 'name="tag" value="latest"' in text
    assert "by hand: <bdi>7.0</bdi>" in text


def test_what_machines_of_arm64_boot_is_said_beside_the_others(house: Site) -> None:
    visit = house.visit()
    assert "bty live build --arch arm64 --install" in page(visit)

    assert sent(visit, packed(made_set(__version__))) == 303
    assert sent(visit, packed(made_set("7.0", arch=ARM64))) == 303

    text = page(visit)
    assert f"Live environment {__version__} is ready" in text
    assert "arm64: live environment 7.0: another version" in text
    assert f"{__version__} for x86_64, 7.0 for arm64" in text
    state = visit.get("/api/v1/artifacts").json["live_environment"]
    assert (state["version"], state["arm64"]["version"]) == (__version__, "7.0")


def test_a_damaged_set_says_which_file_and_is_fetched_anew(house: Site, boot_dir: Path) -> None:
    visit = house.visit()
    assert sent(visit, packed(made_set("7.0"))) == 303
    (boot_dir / "current" / live_file("7.0", "initrd")).unlink()

    text = page(visit)

    assert f"{live_file('7.0', 'initrd')} is missing" in text
    assert 'name="tag" value="v7.0"' in text


def test_a_failed_fetch_says_why_and_changes_nothing(house: Site, host: FileHost) -> None:
    visit = house.visit()
    visit.post(FETCH, tag="v3.0")
    work(house)

    text = page(visit)

    assert "has no bty-netboot-pc-x86_64-v3.0.sha256" in text
    assert "None yet." in text


def test_a_poll_gets_nothing_until_something_changes_here_or_on_disk(
    house: Site, host: FileHost, boot_dir: Path
) -> None:
    visit = house.visit()
    assert sent(visit, packed(made_set("7.0"))) == 303
    poll = poll_of(page(visit))
    assert visit.get(poll).status_code == 204

    (boot_dir / "current" / live_file("7.0", "initrd")).write_bytes(b"cut")
    part = visit.get(poll)
    damaged = page(visit)
    poll = poll_of(damaged)
    assert visit.get(poll).status_code == 204
    visit.post(FETCH, tag="v3.0")

    assert part.status_code == 200
    assert "csrf" not in part.text
    assert "has 3 bytes, not 200000" in damaged
    assert "The live environment 7.0 is damaged" in damaged
    assert visit.get(poll).status_code == 200


def test_missing_ipxe_binaries_come_with_their_remedy(house: Site, quick_dir: Path) -> None:
    put(quick_dir / "state" / "ipxe", {"undionly.kpxe": b"x"})
    put(quick_dir / "state" / "boot", {"ipxe.efi": b"x"})

    text = page(house.visit())

    assert re.search(r"undionly.kpxe</code> <span[^>]*>from the ipxe package", text)
    assert re.search(r"<code>ipxe.efi</code> <span[^>]*>in boot/", text)
    assert "to have it: apt install ipxe" in text
    assert "put snponly-arm64.efi into boot/" in text


# -- the fetch ----------------------------------------------------------------------------------


def test_the_form_has_what_is_set_and_takes_another_tag(house: Site, host: FileHost) -> None:
    serve(host, "7.0")
    visit = house.visit()
    source = host.url("/")
    text = page(visit)
    assert f'value="{source}"' in text
    assert 'id="tag" name="tag" value="latest"' in text

    visit.post(FETCH, source=source, tag="v7.0")
    work(house)

    assert "7.0 is ready" not in page(visit), "it is of another version"
    assert house.services.artifacts.state().live.version == "7.0"


def test_a_source_with_a_password_is_shown_without_it_and_used_with_it(
    house: Site, host: FileHost
) -> None:
    serve(host)
    secret = host.url("/").replace("//", "//me:hush@")
    house.database.write(lambda tx: settings.put(tx, NETBOOT_REPO.key, secret, at=AT))
    visit = house.visit()
    shown = host.url("/")

    text = page(visit)
    visit.post(FETCH, source=shown, tag="latest")
    seen = house.services.jobs.listed()[0]
    work(house)

    assert f'value="{shown}"' in text
    assert house.services.jobs.get(seen.id).result.startswith("the live environment")
    assert "hush" not in text + page(visit)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"source": "ftp://x"}, "must be owner/repository, an http or https URL"),
        ({"tag": "a b"}, "must be letters, digits"),
        ({"tag": "../x"}, "must be letters, digits"),
        ({"tag": "x" * 65}, "must be letters, digits"),
    ],
)
def test_what_cannot_be_fetched_is_refused_beside_its_field_and_kept(
    house: Site, fields: dict[str, str], sentence: str
) -> None:
    answer = house.visit().post(FETCH, **fields)

    assert answer.status_code == 422
    assert sentence in answer.text
    [(name, value)] = fields.items()
    assert re.search(
        rf'name="{name}" value="{re.escape(value)}"[^>]*aria-invalid="true"', answer.text
    )
    assert house.services.jobs.listed() == []


# -- the upload ---------------------------------------------------------------------------------


def test_a_tar_is_installed_as_it_arrives(house: Site) -> None:
    visit = house.visit()

    status = sent(visit, packed(made_set("7.0")), "C:\\sets\\seven.tgz")

    text = page(visit, "/ui/netboot?done=installed")
    assert status == 303
    assert "The set is installed." in text
    assert "<bdi>seven.tgz</bdi>" in text


def test_an_upload_is_refused_before_it_is_read_without_the_token_of_our_pages(
    house: Site, boot_dir: Path
) -> None:
    visit, archive = house.visit(), packed(made_set("7.0"))
    token = visit.csrf_token().encode()

    assert sent(visit, archive, token="made up") == 403
    assert visit.upload(UPLOAD, ("file", "set.tar", archive)).status_code == 403
    late = visit.upload(UPLOAD, ("file", "set.tar", archive), ("csrf_token", None, token))
    assert late.status_code == 403
    assert visit.post(UPLOAD, csrf_token="made up").status_code == 403
    assert house.client().simulate_post(UPLOAD).status_code == 303
    assert not (boot_dir / "sets").exists()


@pytest.mark.parametrize(
    ("name", "data", "status", "sentence"),
    [
        ("set.tar", b"no archive", 400, "the archive cannot be read"),
        ("set.tar", packed(made_set("7.0"))[:500], 400, "the archive"),
        ("set.tar", packed({"x": b"y"}), 400, "needs one"),
        ("", b"", 422, "choose a file"),
    ],
    ids=["no archive", "cut off", "no set", "no file"],
)
def test_a_bad_archive_changes_nothing_and_the_page_says_why(
    house: Site, name: str, data: bytes, status: int, sentence: str
) -> None:
    visit = house.visit()
    token = visit.csrf_token().encode()

    answer = visit.upload(UPLOAD, ("csrf_token", None, token), ("file", name, data))

    assert answer.status_code == status
    assert 'role="alert"' in answer.text
    assert sentence in answer.text
    assert house.services.artifacts.state().sets == ()


def test_a_form_that_is_no_form_is_refused(house: Site) -> None:
    visit = house.visit()
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    cookie = {"Cookie": f"bty-token={visit.token}"}
    bodies = [
        b"",
        b"--x",
        b"--x\r\n\r\n",
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="\xff"\r\n\r\nd\r\n--x--',
        b"--x\r\nContent-Transfer-Encoding: base64\r\n\r\nd\r\n--x--",
    ]

    for body in bodies:
        answer = house.client().simulate_post(UPLOAD, body=body, headers=kind | cookie)
        assert answer.status_code in {403, 422}, body


def test_an_upload_is_bounded(quick_dir: Path) -> None:
    with site(quick_dir / "state", tuning=Tuning(max_upload_bytes=1000)) as house:
        visit = house.visit()

        assert "at most 1000 B" in page(visit)
        assert sent(visit, b"x" * 1000) == 413


# -- going back ---------------------------------------------------------------------------------


def test_going_back_says_first_what_it_does(house: Site) -> None:
    visit = house.visit()
    for version in ("7.0", __version__):
        assert sent(visit, packed(made_set(version))) == 303
    before = house.services.artifacts.state()
    assert '<a href="/ui/netboot/rollback">Go back to 7.0' in page(visit)

    asked = page(visit, "/ui/netboot/rollback")
    unchanged = house.services.artifacts.state()
    done = visit.post("/ui/netboot/rollback")

    assert f"This server is {__version__}: that set is of another version." in asked
    assert "still gets the files that it began with" in asked
    assert unchanged == before
    assert done.headers["location"] == "/ui/netboot?done=rolled-back"
    assert house.services.artifacts.state().current == before.previous
    assert "is the current one again" in page(visit, "/ui/netboot?done=rolled-back")


def test_going_back_to_another_build_of_the_same_version_says_what_that_means(
    house: Site,
) -> None:
    visit = house.visit()
    for salt in ("first", "second"):
        assert sent(visit, packed(made_set("7.0", salt=salt))) == 303

    assert "may get some of each" in page(visit, "/ui/netboot/rollback")


def test_there_is_nothing_to_go_back_to_before_a_second_set(house: Site, boot_dir: Path) -> None:
    visit = house.visit()
    assert "Go back" not in page(visit)

    assert visit.get("/ui/netboot/rollback").headers["location"] == "/ui/netboot"
    refused = visit.post("/ui/netboot/rollback")
    for version in ("7.0", "8.0"):
        sent(visit, packed(made_set(version)))
    (boot_dir / "previous" / live_file("7.0", "initrd")).unlink()

    assert refused.status_code == 404
    assert "there is no set before the current one" in refused.text
    assert "Go back" not in page(visit)


# -- TFTP and proxy DHCP ------------------------------------------------------------------------


def test_boot_servers_that_are_off_say_how_they_are_switched_on(house: Site) -> None:
    text = page(house.visit())

    assert "TFTP is off" in text
    assert "<code>bty serve --proxy-dhcp</code>, or <code>netboot.proxy_dhcp</code>" in text
    assert "told a boot file" not in text


def test_boot_servers_that_are_on_tell_their_counts_and_the_last_of_each(house: Site) -> None:
    visit, servers = house.visit(), house.services.boot_servers
    for name in Name:
        servers.starts(name, "UDP port 69 of every interface")
    poll = poll_of(page(visit))
    before = visit.get(poll).status_code
    mac = "52:54:00:12:34:56"
    for _ in range(3):
        servers.seen("dhcp.offered", house.hands.now, mac, {"file": "undionly.kpxe"})
    servers.seen(
        "tftp.failed", house.hands.now, "192.0.2.7", {"file": "<b>", "reason": "<i>no</i>"}
    )
    servers.seen("tftp.done", house.hands.now, mac, {"file": "<b>x", "bytes": 7})

    text = page(visit)

    assert (before, visit.get(poll).status_code) == (204, 200)
    assert "TFTP is on: UDP port 69 of every interface" in text
    assert re.search(r"<dt>told a boot file</dt><dd>3, last .*<bdi>52:54:00:12:34:56</bdi>", text)
    assert re.search(r"<dt>failed</dt><dd>1, last .*<bdi>192.0.2.7</bdi>", text)
    assert "&lt;i&gt;no&lt;/i&gt;" in text
    assert "&lt;b&gt;x" in text
    assert "<dt>not answered</dt><dd>0</dd>" in text
    assert "held back" not in text
    assert "TFTP is off here" not in text


# -- the cheat sheet ----------------------------------------------------------------------------


def test_the_sheet_has_the_addresses_of_this_very_server(house: Site) -> None:
    text = unescape(house.visit().get("/ui/netboot", Host="192.0.2.10:8080").text)

    assert "http://192.0.2.10:8080/pxe-bootstrap.ipxe" in text
    assert 'filename "http://192.0.2.10:8080/boot/ipxe.efi";' in text
    assert '"next-server": "192.0.2.10"' in text
    assert "dhcp-boot=tag:ipxe,http://192.0.2.10:8080/pxe-bootstrap.ipxe" in text
    assert "TFTP is off here" in text
    assert "$" not in text


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("localhost:8080", "No machine reaches a server as"),
        ("127.0.0.1", "No machine reaches a server as"),
        ("[::1]:8080", "No machine reaches a server as"),
        ("bty.lan", "Kea and MikroTik take an address"),
    ],
)
def test_an_address_that_does_not_fit_is_said(house: Site, host: str, sentence: str) -> None:
    assert sentence in house.visit().get("/ui/netboot", Host=host).text


def test_a_public_url_counts_for_the_sheet(quick_dir: Path) -> None:
    with site(quick_dir / "state", public_url="http://pxe.example.com") as house:
        text = page(house.visit())

    assert "http://pxe.example.com/boot/ipxe.efi" in text


@pytest.mark.parametrize("path", [FETCH, UPLOAD, "/ui/settings/upstream"])
def test_the_address_of_a_form_that_was_refused_leads_to_its_page(house: Site, path: str) -> None:
    answer = house.visit().get(path)

    assert (answer.status_code, answer.headers["location"]) == (303, path.rpartition("/")[0])


# -- hostile ------------------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7*7 }}${7*7}",
    "</textarea></select></title><svg/onload=alert(1)>",
]
RAW = ("<script>alert", "<img src=x", "<svg/onload", "</textarea>")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_others_say_is_shown_as_text(
    house: Site, host: FileHost, hostile: str, boot_dir: Path
) -> None:
    visit = house.visit()
    sent(visit, packed(made_set("7.0")), hostile.replace('"', ""))
    texts = [visit.post(FETCH, source=hostile, tag=hostile).text, page(visit)]
    facts = next((boot_dir / "current").glob(".set.json"))
    facts.write_text(
        facts.read_text().replace('"signed_by": null', f'"signed_by": "{hostile[:9]}"')
    )
    house.database.write(lambda tx: settings.put(tx, NETBOOT_TAG.key, hostile, at=AT))
    host.files[f"/{live_file('9', 'sha256')}"] = hostile.encode()
    visit.post(FETCH, source=host.url("/"), tag="v9")
    work(house)

    texts += [page(visit), page(visit, f"/ui/netboot?done={hostile}"), page(visit, "/ui/events")]

    for text in texts:
        assert not any(raw in text for raw in RAW)
        assert "49" not in re.findall(r">\s*(49)\s*<", text)


def test_a_name_without_end_is_cut(house: Site) -> None:
    visit = house.visit()

    answer = visit.upload(
        UPLOAD,
        ("csrf_token", None, visit.csrf_token().encode()),
        ("file", "n" * 5000, packed({"x": b""})),
    )

    assert "n" * 200 in answer.text
    assert "n" * 201 not in answer.text
    [event] = house.services.audit.listed(Query(kind="netboot.artifacts.fetch.failed"))
    assert len(event.summary) < 600
