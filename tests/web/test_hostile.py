"""What boxes, files and forms say is data: on every page, in every answer, in every script."""

from __future__ import annotations

import json
import logging
import re
import socketserver
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import pytest
from falcon.testing import Result

from bty_app import __version__, logs
from bty_app.config import Tuning
from bty_app.domain.webhooks import STAGES, Target
from bty_app.services.revisions import Revisions
from bty_app.services.settings import Settings
from bty_app.services.webhooks import Webhooks
from bty_app.store import events
from bty_app.upstream.http import Http
from bty_app.web.pages import CONTENT_SECURITY_POLICY
from tests.docs import routes
from tests.netboot_set import made_set, put
from tests.web import walk
from tests.web.hostile import CANARY, DOORS, PRODUCT, REFUSE, STRINGS, Desk
from tests.web.past import add_past
from tests.web.site import MAC, site

# What bears no text of anybody, or what a test of files has: bytes, names by rule, marks.
NO_TEXT = frozenset(
    {
        *("PUT /boot/{name}", "DELETE /boot/releases/{tag}", "PUT /api/v1/artifacts"),
        *("POST /api/v1/artifacts/rollback", "POST /ui/netboot/rollback", "POST /ui/logout"),
        "POST /ui/backups/offsite",
        *("DELETE /machines/{mac}", "POST /ui/machines/{mac}/delete"),
        *("POST /ui/machines/{mac}/again", "DELETE /catalog/entries"),
        *("POST /ui/catalog/entries/{ref}/delete", "POST /api/v1/catalog/fetch"),
        *("POST /api/v1/catalog/check", "POST /api/v1/catalog/warm", "POST /ui/catalog/check"),
        *("POST /ui/catalog/fetch", "POST /ui/catalog/fetch-release"),
        *("POST /api/v1/webhooks/test", "POST /ui/settings/webhook-test"),
        *("POST /events/{event_id}/ack", "POST /ui/events/acknowledge-matching"),
        *("DELETE /api/v1/jobs/{job_id}", "DELETE /api/v1/tokens/{token_id}"),
        *("DELETE /api/v1/sessions", "DELETE /api/v1/sessions/{session_id}"),
        *("DELETE /api/v1/machines/bulk/{act_id}", "POST /api/v1/machines/bulk/{act_id}/undo"),
        *("POST /ui/machines/bulk/{act_id}/undo", "POST /ui/machines/bulk/{act_id}/cancel"),
        *("POST /ui/machines/bulk/{act_id}/go-on", "POST /ui/account/tokens/{token_id}/revoke"),
        *("POST /ui/account/sessions/end", "POST /ui/doctor"),
        *("POST /ui/backups", "POST /api/v1/backups", "POST /api/v1/artifacts/check"),
        "POST /api/v1/doctor",
        *("DELETE /api/v1/machines/{mac}", "DELETE /api/v1/catalog/entries/{ref}"),
    }
)
OUR_HEADERS = frozenset(
    {
        *("host", "accept-encoding", "accept", "user-agent", "connection", "content-length"),
        *("content-type", "x-bty-event", "x-bty-delivery", "x-bty-signature"),
    }
)
# What a plan has of the catalog and of the assignment, for the client to check.
OF_THE_OPERATOR = frozenset({"target_disk_serial", "name", "image", "sources"})
SCRIPT_LINE = re.compile(
    r"#!ipxe|:[a-z]+|goto [a-z]+|sleep \d+|exit 1|boot( \|\| goto again)?|set bty-answered yes"
    r"|set bty-base http://[a-zA-Z.:0-9]+|echo bty: [A-Za-z0-9 .,:;()/_+'-]+"
    r"|chain (--replace )?http://[a-zA-Z.:0-9]+/pxe/\S+ \|\| (goto failed|exit 1|goto again)"
    r"|(kernel|initrd) \$\{bty-base\}/boot/[a-z0-9._-]+\?mac=[0-9a-f:]+[a-zA-Z0-9 =.,_:/${}|()-]*"
    r"|isset \$\{bty-answered\} && exit 1 \|\| echo bty: no answer from \S+, asking again"
    r"|sanboot --no-describe --drive 0x[0-9a-f]{2} \|\| exit 1|",
    re.ASCII,
)
METRIC_LINE = re.compile(
    r'# (HELP|TYPE) .*|[a-z_]+(\{([a-z_]+="(\\.|[^"\\\n])*",?)*\})? [0-9.e+-]+|', re.ASCII
)
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


class Reader(HTMLParser):
    """Finds what a browser would run, load or be led to, and what nobody would see."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._in_field = False

    def handle_endtag(self, tag: str) -> None:
        self._in_field = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_field = tag == "textarea"  # what is edited stays as it is
        given = {name: value or "" for name, value in attrs}
        if tag == "script" and not given.get("src", "").startswith("/static/"):
            self.found.append(f"a script: {given}")
        bad = any(name.startswith("on") or name == "style" or CANARY in name for name in given)
        if bad or tag in {"style", "iframe", "object", "embed", "base"} or (tag == "b" and given):
            self.found.append(f"<{tag} {given}>")
        for name in ("href", "src", "action", "formaction", "hx-get", "hx-post"):
            if name in given and not re.match(r"[/#?]|$", given[name]):
                self.found.append(f"{name}={given[name][:80]}")
            if given.get(name, "").startswith("//"):
                self.found.append(f"{name} leads to another host")

    def handle_data(self, data: str) -> None:
        unseen = None if self._in_field else UNSEEN.search(data)
        if unseen:
            self.found.append(f"U+{ord(unseen[0]):04X} is shown as it is: {data[:80]!r}")


class Kept(logging.Handler):
    """All lines of the log, in both formats."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def handle(self, record: logging.LogRecord) -> bool:
        self.lines += [logs.TextLines().format(record), logs.JsonLines().format(record)]
        return True


@pytest.fixture
def log() -> Iterator[Kept]:
    kept, root = Kept(), logging.getLogger()
    before = root.level
    root.addHandler(kept)
    root.setLevel(logging.DEBUG)
    yield kept
    root.setLevel(before)
    root.removeHandler(kept)


@pytest.fixture
def desk(quick_dir: Path) -> Iterator[Desk]:
    folder = quick_dir / "state"
    tuning = Tuning(discovery_burst=10**6, contact_burst=10**6, contact_per_second=10**6)
    with site(folder, tuning=tuning) as made:
        made.add_image()
        made.add_machine()
        put(folder / "boot", made_set(__version__))
        add_past(made)
        yield Desk(made, made.visit(), folder)


def test_nothing_that_anybody_says_breaks_out_of_its_place(desk: Desk, log: Kept) -> None:
    taken: dict[str, set[str]] = {name: set() for name in DOORS}
    wrong: list[str] = []
    for title, text in STRINGS.items():
        for name, door in DOORS.items():
            answer = door(desk, text)
            if answer is None:
                taken[name].add(title)
                continue
            if answer.status_code >= 500:
                wrong.append(f"{title} by {name}: {answer.status}: {answer.text[:200]}")
            elif answer.status_code < 400:
                taken[name].add(title)
            wrong += [f"{title} by {name}: {fault}" for fault in faults(answer, "")]
        wrong += [f"{title}: {fault}" for fault in everywhere(desk)]
    wrong += [line for line in log.lines if len(line.splitlines()) > 1 or UNSEEN.search(line)]
    wrong += [str(path) for path in desk.folder.rglob("*") if CANARY in path.name]

    assert wrong == []
    refuse = {name for name, titles in taken.items() if not titles - {"blank", "nothing"}}
    assert sorted(refuse) == sorted(REFUSE)


@pytest.mark.parametrize("title", ["header", "json", "half a pair"])
def test_a_receiver_of_events_gets_json_and_no_header_of_anybody(desk: Desk, title: str) -> None:
    with raw_receiver() as (port, got):
        target = Target(("*", f"{STAGES}*"), url=f"http://127.0.0.1:{port}/")
        house = desk.site
        hooks = Webhooks(
            house.database,
            Settings(house.database, Revisions(), clock=house.hands),
            Http(),
            key="of the test",
            command=target,  # a target like the others
            clock=house.hands,
        )
        hooks.turn()
        for name, door in DOORS.items():
            if name != "told of events":
                door(desk, STRINGS[title])
        house.services.stages.flush()
        newest = house.database.read(events.newest_id)
        waiting = newest
        for _ in range(30):
            if waiting:
                hooks.turn()
                waiting = next(s.waiting for s in hooks.state() if s.target == target)

    assert newest > 20, "there was something to tell"
    assert waiting == 0
    assert any(CANARY.encode() in raw for raw in got)
    kinds = set()
    for raw in got:
        head, _, body = raw.partition(b"\r\n\r\n")
        lines = head.decode("ascii").split("\r\n")
        names = [line.partition(":")[0].lower() for line in lines[1:]]
        told = json.loads(body)
        kinds.add(told["kind"])
        assert lines[0] == "POST / HTTP/1.1"
        assert sorted(names) == sorted(set(names))
        assert set(names) <= OUR_HEADERS
        assert head.isascii()
        assert body.isascii()
        assert CANARY.encode() not in head
        assert not any("\ud800" <= c <= "\udfff" for c in told["text"]), "half a pair of surrogates"
    assert any(kind.startswith(STAGES) for kind in kinds)


@contextmanager
def raw_receiver() -> Iterator[tuple[int, list[bytes]]]:
    """What arrives, byte by byte as it was sent."""
    got: list[bytes] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = b""
            while not head.endswith(b"\r\n\r\n") and (line := self.rfile.readline()):
                head += line
            length = re.search(rb"(?i)content-length: (\d+)", head)
            got.append(head + self.rfile.read(int(length[1]) if length else 0))
            self.wfile.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1], got
        server.shutdown()
        thread.join(5)


def everywhere(desk: Desk) -> Iterator[str]:
    """What is wrong with any answer that can be read now."""
    for path in walk.readable():
        address = walk.filled(path)
        answer = desk.get(address, Accept="text/html")
        if answer.status_code >= 500:
            yield f"{address}: {answer.status}"
        yield from (f"{address}: {fault}" for fault in faults(answer, path))
    for purpose in ("", "/plan"):
        answer = desk.site.client().simulate_get(f"/pxe/{MAC}{purpose}?preview=1")
        yield from (f"{purpose}: {fault}" for fault in faults(answer, f"/pxe/{{mac}}{purpose}"))


def faults(answer: Result, path: str) -> Iterator[str]:
    """What is wrong with one answer."""
    kind = answer.headers.get("content-type", "").partition(";")[0]
    for name, value in answer.headers.items():
        if (
            not value.isascii()
            or not value.isprintable()
            or CANARY in value * (name == "set-cookie")
        ):
            yield f"the header {name}: {value[:80]!r}"
    if kind in {"application/zip", "application/x-tar"} or not answer.content:
        return  # our own client, a whole database, or nothing
    if PRODUCT in answer.text:
        yield "a template was carried out"
    if kind == "text/html":
        yield from faults_of_page(answer)
    elif kind.endswith(("+json", "/json")):
        json.loads(answer.text)
        yield from ["JSON that is not ASCII"] * (not answer.text.isascii())
    else:
        yield from faults_of_text(answer.text, path)
    if path == "/pxe/{mac}/plan":
        plan = json.loads(answer.text)
        said = json.dumps({key: at for key, at in plan.items() if key not in OF_THE_OPERATOR})
        yield from [f"the plan says {said}"] * (CANARY in said)


def faults_of_page(answer: Result) -> Iterator[str]:
    """What a browser would run or be led to."""
    reader = Reader()
    reader.feed(answer.text)
    yield from reader.found
    if answer.headers.get("content-security-policy") != CONTENT_SECURITY_POLICY:
        yield "no policy"


def faults_of_text(text: str, path: str) -> Iterator[str]:
    """What a program would take for more than a value."""
    if path == "/api/v1/events.jsonl":
        for line in text.splitlines():
            json.loads(line)
    elif path == "/catalog.toml":
        tomllib.loads(text)
    elif path == "/metrics" or text.startswith("#!ipxe"):
        allowed = METRIC_LINE if path == "/metrics" else SCRIPT_LINE
        yield from (line for line in text.split("\n") if not allowed.fullmatch(line))
        yield from ["a text of somebody"] * (bool(path) and CANARY in text)


def test_every_address_that_takes_a_text_is_tried(desk: Desk) -> None:
    for door in DOORS.values():
        door(desk, STRINGS["element"])
    said = desk.site.client().simulate_get("/metrics").text
    reached = {
        f"{found[2]} {re.sub(r':[^}]*', '', found[1])}"
        for found in re.finditer(r'requests_total\{route="([^"]*)",method="([A-Z]+)"', said)
    }

    wanted = {f"{r.method} {r.path}" for r in routes.every() if r.method not in ("GET", "HEAD")}

    assert wanted - reached - NO_TEXT == set()
    assert NO_TEXT - wanted == set()
