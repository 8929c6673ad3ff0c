"""What can go wrong between a command and its server elsewhere, and what is said of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bty_app import __version__
from bty_app.cli import machine
from bty_app.cli.main import main
from bty_app.cli.table import COMMANDS
from bty_app.client_zip import client_zip
from bty_app.domain.events import Kind
from bty_app.errors import ConflictError, UnavailableError
from bty_app.upstream.http import Answer, Http
from bty_app.upstream.operator_api import Call, OperatorApi
from tests.cli.rack import Rack, racks
from tests.file_host import file_host
from tests.other_host import answer, identity, other_host
from tests.web.site import mac

M0 = str(mac(0))
TOKEN = f"bty_{'0' * 10}_{'A' * 43}"


@pytest.fixture
def rack(
    quick_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Rack]:
    for name in ("BTY_AT", "BTY_TOKEN", "BTY_TOKEN_FILE", "BTY_CA"):
        monkeypatch.delenv(name, raising=False)
    (quick_dir / "no-config").mkdir()
    monkeypatch.setenv("BTY_CONFIG_DIR", str(quick_dir / "no-config"))
    monkeypatch.setattr("bty_app.upstream.operator_api._PAUSES", (0.0, 0.0))
    with file_host() as origin, racks(quick_dir, origin, capsys, monkeypatch) as made:
        yield made


def api(url: str, http: Any = None) -> OperatorApi:
    return OperatorApi(http or Http(), url, TOKEN, version=__version__, pause=lambda _s: None)


# -- who asks -------------------------------------------------------------------------------------


def test_without_a_token_it_is_said_where_one_comes_from(rack: Rack) -> None:
    done = rack.remotely("machine", "list")

    assert done.status == 77
    assert "BTY_TOKEN" in done.err
    assert "bty token create" in done.err


def test_a_wrong_token_and_one_that_may_not(rack: Rack) -> None:
    rack.monkeypatch.setenv("BTY_TOKEN", TOKEN)
    wrong = rack.remotely("machine", "list")
    rack.token("read")
    reads = rack.remotely("machine", "list")
    writes = rack.remotely("machine", "mode", M0, "bty-tui")
    admin = rack.remotely("settings", "list")

    assert (wrong.status, reads.status, writes.status, admin.status) == (77, 0, 77, 77)
    assert "unknown or revoked" in wrong.err
    assert "operate" in writes.err
    assert "admin" in admin.err


def test_a_token_comes_from_a_file_and_never_from_the_command_line(rack: Rack) -> None:
    text = rack.token()
    rack.monkeypatch.delenv("BTY_TOKEN")
    file = rack.here.parent / "laptop.token"
    file.write_text(f"{text}\n")

    by_flag = rack.remotely("machine", "list", options=("--token-file", str(file)))
    rack.monkeypatch.setenv("BTY_TOKEN_FILE", str(file))
    by_name = rack.remotely("machine", "list")
    rack.monkeypatch.setenv("BTY_TOKEN_FILE", f"{file}-none")
    none = rack.remotely("machine", "list")
    rack.monkeypatch.setenv("BTY_TOKEN", "hunter2\r\nX: y")
    no_token = rack.remotely("machine", "list")

    assert by_flag.out == by_name.out
    assert (by_flag.status, none.status, no_token.status) == (0, 78, 78)
    assert "hunter2" not in no_token.err
    assert main(["--at", f"http://{text}@127.0.0.1:1", "machine", "list"]) == 2


def test_the_environment_names_the_server_as_well(rack: Rack) -> None:
    rack.token()
    rack.monkeypatch.setenv("BTY_AT", rack.url)

    assert rack.locally("machine", "list").out == rack.remotely("machine", "list").out
    rack.monkeypatch.setenv("BTY_AT", "rack:8443")
    assert rack.locally("machine", "list").status == 78


# -- what is of one host alone --------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, row in COMMANDS.items() if not row.over_http])
def test_what_cannot_be_done_from_elsewhere_is_refused_with_a_remedy(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {"export": ["x"], "import": ["x"], "restore": ["x"], "recover": ["x"]}
    known = {"flash": ["--mac", M0], "offsite": ["list"], "litestream": ["check"]}
    more = {"image": ["pack", "a", "b"], "live": ["build"], "terminals": ["flash"], "demo": []}
    asked = (words | known | more | {"migrate": ["http://x"]}).get(name, [])
    monkeypatch.delenv("BTY_AT", raising=False)

    status = main(["--at", "http://127.0.0.1:1", name, *asked])
    said = capsys.readouterr().err

    assert status == 2, said
    if "usage:" not in said:
        assert f"{name} is for this host alone" in said
        assert COMMANDS[name].instead in said
    assert "Traceback" not in said


def test_the_environment_stops_what_would_be_done_to_the_wrong_state(rack: Rack) -> None:
    rack.monkeypatch.setenv("BTY_AT", rack.url)

    assert rack.locally("verify").status == 2
    assert rack.locally("show-config").status == 0


def test_files_of_a_laptop_are_no_catalog_to_follow_and_no_place_for_backups(rack: Rack) -> None:
    rack.token()
    follows = rack.remotely("catalog", "diff", "./mine.toml")
    keeps = rack.remotely("backup", "/srv/elsewhere")

    assert (follows.status, keeps.status) == (2, 2)
    assert "bty catalog import" in follows.err
    assert "archive.tar" in keeps.err


def test_the_client_form_of_the_contract_is_as_it_was(rack: Rack) -> None:
    """`--server` without a command is the flasher: a misspelled command must never become it."""
    done = rack.locally("--at", rack.url, "machne", "list")

    assert done.status == 2
    assert "did you mean 'machine'" in done.err


# -- the server -----------------------------------------------------------------------------------


def test_a_server_that_is_away(rack: Rack) -> None:
    rack.monkeypatch.setenv("BTY_TOKEN", TOKEN)
    rack.url = "http://127.0.0.1:1"

    reads, writes = rack.remotely("machine", "list"), rack.remotely("token", "create", "x")

    assert (reads.status, writes.status) == (69, 69)
    assert "may have been done or not" in writes.err
    assert "may have been done or not" not in reads.err


class Flaky:
    """Fails so many times, and counts."""

    def __init__(self, failures: int) -> None:
        self.failures, self.asked = failures, 0

    def ask(self, _request: object, **_bounds: object) -> Answer:
        self.asked += 1
        if self.asked <= self.failures:
            raise UnavailableError("it is away")
        return Answer(200, {}, b"{}", "http://x")


@pytest.mark.parametrize(
    ("call", "failures", "asked"),
    [
        (Call("GET", "/machines", again=True), 2, 3),
        (Call("POST", "/machines/bulk", {}, again=True), 1, 2),
        (Call("PUT", "/machines/x", {}), 1, 1),
        (Call("POST", "/tokens", {}), 1, 1),
    ],
)
def test_only_what_does_nothing_twice_is_sent_twice(call: Call, failures: int, asked: int) -> None:
    http = Flaky(failures)
    if asked == 1:
        with pytest.raises(UnavailableError):
            api("http://x", http).send(call)
    else:
        api("http://x", http).send(call)

    assert http.asked == asked


def test_a_server_of_another_version_is_named(rack: Rack) -> None:
    rack.monkeypatch.setenv("BTY_TOKEN", TOKEN)
    with other_host() as host:
        host.routes["/version"] = answer(b'{"version":"0.65.18"}')
        rack.url = host.url("")
        missing = rack.remotely("webhook", "list")
        host.routes["/api/v1/webhooks"] = answer(b'{"others":[]}')
        different = rack.remotely("webhook", "list")
        host.routes["/api/v1/webhooks"] = answer(b"<html>")
        nonsense = rack.remotely("webhook", "list")

    for done in (missing, different, nonsense):
        assert (done.status, "is bty 0.65.18, this is" in done.err) == (75, True), done.err


def test_something_that_is_no_server_of_ours(rack: Rack) -> None:
    rack.monkeypatch.setenv("BTY_TOKEN", TOKEN)
    with other_host() as host:
        rack.url = host.url("")
        done = rack.remotely("machine", "list")

    assert (done.status, "is no server of bty" in done.err) == (69, True)


def test_a_token_goes_to_its_own_server_alone(rack: Rack) -> None:
    rack.monkeypatch.setenv("BTY_TOKEN", TOKEN)
    with other_host() as host, other_host() as thief:
        target = thief.url("/api/v1/webhooks").encode()
        host.routes["/api/v1/webhooks"] = answer(b"", status="302 Found", Location=target.decode())
        thief.routes["/api/v1/webhooks"] = answer(b'{"webhooks":[]}')
        rack.url = host.url("")
        rack.remotely("webhook", "list")

        assert TOKEN in str(host.heads)
        assert TOKEN not in str(thief.heads)


def test_tls_is_verified_and_an_own_authority_is_named(rack: Rack, tmp_path: Path) -> None:
    rack.monkeypatch.setenv("BTY_TOKEN", TOKEN)
    ours = identity(tmp_path, "IP:127.0.0.1")
    with other_host(ours) as host:
        host.routes["/api/v1/webhooks"] = answer(b'{"webhooks":[]}')
        rack.url = host.url("")
        refused = rack.remotely("webhook", "list")
        assert not host.heads
        trusted = rack.remotely("webhook", "list", options=("--ca", str(ours.certificate)))
        nothing = rack.remotely("webhook", "list", options=("--ca", str(ours.key)))
        missing = rack.remotely("webhook", "list", options=("--ca", f"{ours.key}-none"))

    assert (refused.status, trusted.status) == (69, 0)
    assert "certificate is not trusted" in refused.err
    assert (nothing.status, missing.status) == (78, 78)


# -- two at once ----------------------------------------------------------------------------------


def test_what_somebody_changed_meanwhile_stays(rack: Rack) -> None:
    rack.token()
    real = machine._save

    def late(machines: Any, seen: Any, *rest: Any) -> None:
        wanted = {"boot_mode": "bty-tui", "labels": ["theirs"]}
        machines.save(M0, wanted, None)
        real(machines, seen, *rest)

    rack.monkeypatch.setattr(machine, "_save", late)
    here = rack.locally("machine", "mode", M0, "ipxe-exit")
    there = rack.remotely("machine", "mode", M0, "ipxe-exit")

    assert (here.status, there.status) == (75, 75)
    assert "otherwise by now" in there.err
    rack.monkeypatch.undo()
    assert rack.far.services.machines.get(mac(0)).labels == ("theirs",)


def test_a_long_list_is_taken_as_it_is_shown() -> None:
    parts: list[str] = []

    class Parts:
        def ask(self, request: Any, **_bounds: object) -> Answer:
            parts.append(request.url)
            more = f"/api/v1/machines?cursor={len(parts)}" if len(parts) < 1000 else None
            body = {"machines": [{"mac": n} for n in range(200)], "next": more}
            return Answer(200, {}, json.dumps(body).encode(), "http://x")

    rows = api("http://x", Parts()).listed("/machines", "machines")
    for _ in range(300):
        next(rows)

    assert len(parts) == 2
    assert sum(1 for _ in rows) == 200_000 - 300


def test_events_are_followed_through_an_absence(rack: Rack) -> None:
    rack.token()
    rack.far.add_event(Kind.LOGOUT, "before")
    turns: list[Callable[[], object]] = [
        lambda: rack.far.add_event(Kind.LOGOUT, "first"),
        lambda: rack.monkeypatch.setenv("BTY_TOKEN", os.environ["BTY_TOKEN"]),
        lambda: rack.monkeypatch.setattr(Http, "ask", away),
        lambda: rack.monkeypatch.setattr(Http, "ask", asks),
        lambda: rack.far.add_event(Kind.LOGOUT, "second"),
    ]
    asks = Http.ask

    def away(*_any: object, **_more: object) -> Answer:
        raise UnavailableError("it is away")

    def sleep(_seconds: float) -> None:
        if not turns:
            raise KeyboardInterrupt
        turns.pop(0)()

    rack.monkeypatch.setattr("bty_app.cli.events.time", SimpleNamespace(sleep=sleep))
    done = rack.remotely("events", "--follow", "--kind", "auth.logout")

    assert done.status == 130
    assert [line.rpartition(" ")[2] for line in done.out.splitlines()] == [
        *("before", "first", "second")
    ]
    assert done.err.count("trying again") == 1


def test_an_end_here_ends_the_job_there() -> None:
    asked: list[str] = []

    class Jobs:
        def ask(self, request: Any, **_bounds: object) -> Answer:
            asked.append(request.method)
            return Answer(200, {}, b"{}", "http://x")

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    there = OperatorApi(Jobs(), "http://x", TOKEN, version="1", pause=interrupt)  # type: ignore[arg-type]
    from bty_app.domain.jobs import Quiet

    job = {"id": "1", "status": "running", "words": "", "bytes_done": 0, "bytes_total": None}
    with pytest.raises(KeyboardInterrupt):
        there.ended(job, Quiet())
    assert asked == ["DELETE"]


def test_a_failure_of_a_job_is_the_failure_that_it_was_there() -> None:
    job = {"id": "1", "status": "failed", "error": "busy", "code": "conflict", "title": ""}
    from bty_app.domain.jobs import Quiet

    with pytest.raises(ConflictError, match="busy"):
        api("http://x").ended(job, Quiet())


def test_the_client_that_a_server_hands_out_can_do_it_too(rack: Rack, tmp_path: Path) -> None:
    """It has neither the store nor the web: a laptop needs Python alone."""
    token = rack.token()
    program = tmp_path / "client.pyz"
    program.write_bytes(client_zip())

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-I", str(program), "--at", rack.url, *words],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "BTY_TOKEN": token},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    for words in (
        *(("machine", "list"), ("catalog", "list"), ("token", "list"), ("settings", "list")),
        *(("events",), ("backups", "list"), ("artifacts", "list"), ("webhook", "list")),
        ("backup",),
    ):
        done = run(*words)
        assert done.returncode == 0, (words, done.stderr)
    assert M0 in run("machine", "list").stdout
