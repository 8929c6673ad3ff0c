"""A new host takes the place of a running one: real servers, killed where it hurts."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bty_app.config import Paths
from bty_app.domain.catalog_events import By
from bty_app.domain.events import Actor
from bty_app.domain.mac import Mac
from bty_app.domain.machine import parse_assignment
from bty_app.services import host as hosts
from bty_app.services.artifacts import Artifacts
from bty_app.services.machines import Machines
from bty_app.services.revisions import Revisions
from bty_app.services.settings import Settings
from bty_app.store import catalog, instance
from bty_app.store.database import Database
from bty_app.upstream.http import Http
from tests.appliances import REPOSITORY, Appliance, appliance
from tests.fresh_state import make_state
from tests.netboot_set import Listener, made_set, put
from tests.serving import ENTRY, REF

MAC = Mac("52:54:00:12:34:56")
LARGE = 96 * 2**20


@pytest.fixture
def old(quick_dir: Path) -> Iterator[Appliance]:
    """A running appliance with a bound machine, two sets of boot files and a catalog."""
    with appliance(quick_dir / "old") as made:
        furnish(made.state)
        made.start()
        yield made


def furnish(state: Path) -> None:
    """A machine with an image and a label, and two sets of netboot artifacts."""
    paths = Paths(state_dir=state, boot_dir=state / "boot", catalog_file=state / "catalog.toml")
    operator = By(Actor.OPERATOR, None)
    with Database(make_state(state)) as database:
        database.write(lambda tx: catalog.insert(tx, ENTRY))
        machine = Machines(database)
        given = {"boot_mode": "bty-inventory", "bty_image_ref": REF, "labels": ["rack 1"]}
        machine.save(MAC, parse_assignment(given), ip=None)
        sets = Artifacts(database, Settings(database, Revisions()), Http(), paths.boot_dir)
        for version in ("1.0", "2.0"):
            place = put(state.parent / f"set-{version}", made_set(version))
            sets.install_directory(place, Listener(), operator)
    (state / "catalog.toml").write_text("version = 1\n")


@pytest.fixture
def new(quick_dir: Path) -> Iterator[Appliance]:
    with appliance(quick_dir / "new") as made:
        yield made


def command(old: Appliance, token: str, *more: str) -> list[str]:
    file = old.home / "token"
    file.write_text(f"{token}\n")
    return ["migrate", "--from", old.url, "--token-file", str(file), *more]


def events(site: Appliance) -> list[str]:
    token = site.token("read")
    lines = site.ask("GET", "/api/v1/events.jsonl", token=token).data.splitlines()
    return [json.loads(line)["kind"] for line in lines]


def test_it_takes_over_all_and_the_old_one_sends_its_machines_on(
    old: Appliance, new: Appliance
) -> None:
    token = old.token()
    links = {name: (old.state / "boot" / name).readlink() for name in ("current", "previous")}

    plan = json.loads(new.bty(*command(old, token, "--dry-run", "--json")).stdout)
    assert (plan["machines"], plan["state"]) == (1, "serving")
    assert not new.state.exists(), "a dry run changes nothing"

    done = json.loads(new.bty(*command(old, token, "--json")).stdout)

    assert (done["machines"], done["source"]) == (1, old.url)
    assert {name: (new.state / "boot" / name).readlink() for name in links} == links
    names = {
        path.relative_to(old.state / "boot") for path in (old.state / "boot").rglob("*.vmlinuz")
    }
    for name in names:
        assert (new.state / "boot" / name).read_bytes() == (old.state / "boot" / name).read_bytes()
    for secret in ("admin-password", "webhook-secret"):
        assert (new.state / secret).read_text() == (old.state / secret).read_text()
        assert (new.state / secret).stat().st_mode & 0o777 == 0o600
    assert not (new.state / "session-secret").exists()
    assert not (new.state / ".arriving").exists()

    script = old.script(MAC)
    assert f"chain --replace {new.url}/pxe/{MAC.replace(':', '-')} || goto again" in script
    assert "kernel" not in script
    assert "sanboot" not in script
    plan_of = old.ask("GET", f"/pxe/{MAC}/plan")
    assert plan_of.status == 503
    assert new.url in plan_of.json()["detail"]

    new.start()
    assert f"/boot/bty-netboot-pc-x86_64-v2.0.vmlinuz?mac={MAC}" in new.script(MAC)
    shown = json.loads(new.bty("machine", "show", MAC, "--json").stdout)
    assert "rack 1" in json.dumps(shown)
    kinds = events(new)
    assert kinds.count("system.migration.arrived") == 1
    assert kinds[0] == "machine.created"
    assert new.ask("GET", "/api/v1/migration", token=token).status == 200, "tokens travel"
    assert "sound" in new.bty("verify", str(new.state / "state.db")).stdout


def test_the_old_one_refuses_changes_across_restarts_until_that_is_taken_back(
    old: Appliance, new: Appliance
) -> None:
    token = old.token()
    new.bty(*command(old, token))
    old.stop(signal.SIGKILL)
    old.start()

    refused = old.ask("PUT", f"/machines/{MAC}", {"boot_mode": "ipxe-exit"}, token=token)
    by_hand = old.bty("machine", "set", MAC, "--mode", "ipxe-exit", status=75)

    for words in (refused.json()["detail"], by_hand.stderr):
        assert f"has moved to {new.url}" in words
    assert refused.status == 503
    ready = old.ask("GET", "/readyz")
    assert ready.status == 503
    assert new.url in ready.data.decode()
    assert "chain --replace" in old.script(MAC)

    new.start()
    both = old.bty("migrate", "--cancel", status=75)
    assert f"{new.url} answers" in both.stderr
    assert "chain --replace" in old.script(MAC)
    new.stop()
    old.bty("migrate", "--cancel")

    assert new.url not in old.script(MAC)
    assert old.ask("PUT", f"/machines/{MAC}", {"boot_mode": "ipxe-exit"}, token=token).status == 200
    assert events(old)[-4:].count("system.migration.cancelled") == 1


def test_killed_in_the_middle_it_goes_on_where_it_was(old: Appliance, new: Appliance) -> None:
    with (old.state / "boot" / "large.efi").open("wb") as file:
        file.truncate(LARGE)
    token = old.token()
    part = new.state / "boot" / ".large.efi.part"
    process = subprocess.Popen(
        [sys.executable, "-m", "bty_app", *command(old, token)],
        cwd=REPOSITORY,
        env=new.environment(),
        stderr=subprocess.DEVNULL,
    )
    while not (part.exists() and part.stat().st_size):
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.wait()
    had = part.stat().st_size
    assert 0 < had < LARGE, "it was to be killed in the middle"

    assert "boot" in old.script(MAC), "the old one still serves"
    assert (
        old.ask("PUT", f"/machines/{MAC}", {"boot_mode": "bty-inventory"}, token=token).status
        == 200
    )
    refused = subprocess.run(
        [sys.executable, "-m", "bty_app", "serve"],
        cwd=REPOSITORY,
        env=new.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 78
    assert "is not finished" in refused.stderr
    done = json.loads(new.bty(*command(old, token, "--json")).stdout)

    rest = sum(
        path.stat().st_size
        for path in (old.state / "boot").rglob("*")
        if path.is_file() and not path.is_symlink() and path.name != "large.efi"
    )
    assert LARGE - had <= done["fetched"] <= LARGE - had + rest + 4 * 2**20
    assert (new.state / "boot" / "large.efi").stat().st_size == LARGE


def test_every_acknowledged_change_is_there_although_writes_go_on(
    old: Appliance, new: Appliance
) -> None:
    token = old.token()
    process = subprocess.Popen(
        [sys.executable, "-m", "bty_app", *command(old, token)],
        cwd=REPOSITORY,
        env=new.environment(),
        stderr=subprocess.PIPE,
    )
    acknowledged, refused, number = [], 0, 0
    while process.poll() is None:
        number += 1
        mac = f"52:54:00:00:{number // 256:02x}:{number % 256:02x}"
        answer = old.ask("PUT", f"/machines/{mac}", {"boot_mode": "ipxe-exit"}, token=token)
        assert answer.status in (200, 503), answer.data
        refused += answer.status == 503
        if answer.status == 200:
            acknowledged.append(mac)
    assert process.returncode == 0, process.stderr and process.stderr.read()

    new.start()
    listed = json.loads(new.bty("machine", "list", "--json").stdout)
    assert set(acknowledged) <= {machine["mac"] for machine in listed}
    assert acknowledged, "writes went on during the copy"
    assert len(listed) == len(acknowledged) + 1
    assert old.ask("PUT", f"/machines/{MAC}", {"boot_mode": "ipxe-exit"}, token=token).status == 503


@pytest.mark.parametrize(
    ("scope", "status", "words"),
    [("read", 77, "scope admin"), ("operate", 77, "scope admin"), ("wrong", 77, "401")],
)
def test_a_token_that_may_not_is_refused_and_nothing_is_here(
    old: Appliance, new: Appliance, scope: str, status: int, words: str
) -> None:
    token = "bty_0123456789abcdef_" + "x" * 32 if scope == "wrong" else old.token(scope)

    done = new.bty(*command(old, token), status=status)

    assert words in done.stderr
    assert (
        old.ask("PUT", f"/machines/{MAC}", {"boot_mode": "ipxe-exit"}, token=old.token()).status
        == 200
    )


def test_a_directory_with_an_appliance_is_left_alone(old: Appliance, new: Appliance) -> None:
    before = make_state(new.state).read_bytes()

    done = new.bty(*command(old, old.token()), status=75)

    assert "there is an appliance here already (state.db)" in done.stderr
    assert (new.state / "state.db").read_bytes() == before


def test_an_old_one_that_moved_elsewhere_is_not_taken_twice(
    old: Appliance, new: Appliance, quick_dir: Path
) -> None:
    token = old.token()
    new.bty(*command(old, token))

    with appliance(quick_dir / "third") as third:
        done = third.bty(*command(old, token), status=75)

    assert f"has moved to {new.url} already" in done.stderr


@pytest.mark.parametrize("wrong", ["ftp://x", "http://x/y", "http://x y", "http://x;sanboot"])
def test_an_address_that_is_none_is_refused(new: Appliance, wrong: str) -> None:
    new.bty("migrate", "--from", wrong, "--token-file", "x", status=65)


def test_an_appliance_is_fenced_by_hand(old: Appliance) -> None:
    old.bty("migrate", "--fence", "http://192.0.2.20:8080")

    assert "chain --replace http://192.0.2.20:8080/pxe/" in old.script(MAC)
    assert old.ask("GET", "/readyz").status == 503


# -- the other way: a stopped server, its directory copied -----------------------------------------


def test_a_copied_directory_serves_elsewhere_and_the_doctor_says_what_is_left(
    old: Appliance, new: Appliance, quick_dir: Path
) -> None:
    (old.state / "backups" / "2026-11-22T08-00-00Z").mkdir(parents=True)
    (old.state / "backups" / "2026-11-22T08-00-00Z" / "inventory.json").write_text("{}")
    token = old.token()
    had = old.ask("GET", f"/machines/{MAC}", token=token).json()
    assert "sound" in old.bty("verify").stdout
    old.stop()
    shutil.copytree(old.state, new.state, symlinks=True)
    new.more["BTY_SERVER_PUBLIC_URL"] = "http://192.0.2.10:8080"
    with Database(new.state / "state.db") as database:  # as another host would have left it
        database.write(lambda tx: instance.put(tx, "host", "old-host (000000000000)"))

    new.start()

    assert new.ask("GET", f"/machines/{MAC}", token=token).json() == had
    for name in ("current", "previous"):
        link = new.state / "boot" / name
        assert link.readlink() == (old.state / "boot" / name).readlink()
        assert not link.readlink().is_absolute()
    for path in old.state.rglob("*"):
        if path.name not in ("state.db", "state.db-wal", "state.db-shm", "serve.lock"):
            copy = new.state / path.relative_to(old.state)
            assert copy.lstat().st_mode == path.lstat().st_mode, copy
            if path.is_file():
                assert copy.read_bytes() == path.read_bytes(), copy
    assert (new.state / "state.db").stat().st_mode & 0o777 == 0o600
    found = json.loads(new.bty("doctor", "--json", status=1).stdout)["findings"]
    left = {finding["check"]: finding["sentence"] for finding in found if finding["remedy"]}
    if hosts.this_host():  # a container has none
        assert "was served by old-host" in left["new-host"]
        assert "192.0.2.10:8080, which is no address of this host" in left["public-url"]
        new.ask("GET", f"/pxe/{MAC}")
        found = json.loads(new.bty("doctor", "--json", status=1).stdout)["findings"]
        assert "new-host" not in {finding["check"] for finding in found}
        assert events(new).count("system.host.changed") == 1
    assert "clock" not in left
