"""Commands on a server elsewhere: as on the state directory, and what can go wrong between."""

from __future__ import annotations

import argparse
import hashlib
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bty_app.cli.table import COMMANDS
from tests.cli.rack import Rack, racks
from tests.file_host import file_host
from tests.netboot_set import made_set, packed
from tests.web.site import REF, mac

M0, M1, M2 = str(mac(0)), str(mac(1)), str(mac(2))
IMAGE = b"an image" * 100
SUMS = f"{hashlib.sha256(IMAGE).hexdigest()}  b.img\n".encode()
CATALOG = b"""version = 1
[[images]]
name = "listed.img"
src = "https://example.com/listed.img"
"""


@pytest.fixture
def rack(
    quick_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Rack]:
    for name in ("BTY_AT", "BTY_TOKEN", "BTY_TOKEN_FILE", "BTY_CA"):
        monkeypatch.delenv(name, raising=False)
    (quick_dir / "no-config").mkdir()
    monkeypatch.setenv("BTY_CONFIG_DIR", str(quick_dir / "no-config"))
    monkeypatch.setenv("BTY_NETBOOT_IPXE_DIR", str(quick_dir / "no-ipxe"))
    monkeypatch.setattr("bty_app.upstream.operator_api.POLL_SECONDS", 0.02)
    files = {"b.img": IMAGE, "sums": SUMS, "catalog.toml": CATALOG}
    with file_host(**files) as origin, racks(quick_dir, origin, capsys, monkeypatch) as made:
        (quick_dir / "catalog.toml").write_bytes(CATALOG)
        (quick_dir / "bad.toml").write_bytes(b"version = 2\n")
        archive = quick_dir / "bty-netboot-9.8.tar.gz"
        archive.write_bytes(packed(made_set("9.8")))
        (quick_dir / "set").mkdir()
        for name, data in made_set("9.9").items():
            (quick_dir / "set" / name).write_bytes(data)
        made.words = {
            "ORIGIN": f"http://127.0.0.1:{origin.port}",
            "PLACE": str(quick_dir),
        }
        yield made


SCRIPTS: dict[str, list[str]] = {
    "machines": ["machine list", "machine list --json", f"machine show {M0}"],
    "one machine as json": [f"machine show {M0} --json", "machine show 02:00:00:00:00:09"],
    "a machine is set": [
        f"machine set {M0} --mode bty-flash-once --image {REF} --serial S0 --label a",
        f"machine assign {M1} {REF} --serial S1 --json",
        f"machine mode {M1} bty-tui",
        f"machine wait {M1} --timeout 0",
        f"machine mode {M1} ipxe-exit",
        f"machine wait {M1} --timeout 0",
        f"machine mode {M1} bty-tui",
        f"machine label {M1} --add b --add c",
        f"machine label {M1} --add b",
        f"machine label {M1} --remove b --json",
        "machine set 02:00:00:00:00:07 --mode bty-tui",
        f"machine set {M0} --label -",
        f"machine assign {M0} x",
        f"machine set {M0}",
        f"machine forget {M2}",
        f"machine forget {M2}",
        "machine list --json",
    ],
    "an act on many": [
        "machine act --matching  --act add-labels --label l",
        f"machine act --mac {M0} --act add-labels --label l --json",
        "machine act --matching  --act add-labels --label l --yes",
        "machine act --matching nothing=1 --act wake",
        "machine undo never-was",
        "machine list",
    ],
    "the catalog": ["catalog list", "catalog list --json", "catalog check --all"],
    "an image comes and goes": [
        "catalog add ORIGIN/b.img --sha-url ORIGIN/sums",
        "catalog add ORIGIN/b.img",
        "catalog add ORIGIN/other.img --sha-url ORIGIN/sums",
        "catalog add ORIGIN/other.img --sha-url ORIGIN/none",
        "catalog add ftp://x/y.img",
        "catalog list",
        "catalog check b.img",
        "catalog check b.img --json",
        "catalog check never",
        "catalog check",
        "catalog remove ORIGIN/b.img",
        "catalog remove ORIGIN/b.img",
        "catalog remove zz",
        "catalog warm debian-13.img.zst",
        "catalog list --json",
    ],
    "a bound image stays": [
        f"machine assign {M0} {REF} --serial S0 --mode bty-flash-once",
        f"catalog remove {REF}",
    ],
    "a catalog is taken in": [
        "catalog import PLACE/catalog.toml --json",
        "catalog import PLACE/catalog.toml --keep",
        "catalog import ORIGIN/catalog.toml",
        "catalog import ORIGIN/none.toml",
        "catalog import PLACE/none.toml",
        "catalog import PLACE/bad.toml",
        "catalog list",
    ],
    "a catalog is followed": [
        "settings set upstream.catalog_url ORIGIN/catalog.toml",
        "catalog diff",
        "catalog diff --json",
        "catalog fetch",
        "catalog fetch --json",
        "catalog diff ORIGIN/none.toml",
    ],
    "the tokens": ["token list", "token list --json"],
    "tokens": [
        "token create ci --scope operate --expires 90",
        "token create ci2 --json",
        "token create ci",
        "token create x --expires soon",
        "token revoke ci2",
        "token revoke ci2",
    ],
    "settings": [
        "settings list",
        "settings list --json",
        "settings set boot.max_attempts 3",
        "settings set boot.max_attempts 3",
        "settings set boot.max_attempts many",
        "settings unset boot.max_attempts",
        "settings list",
    ],
    "artifacts": [
        "artifacts list",
        "artifacts install PLACE/set",
        "artifacts install PLACE/bty-netboot-9.8.tar.gz",
        "artifacts install PLACE/bty-netboot-9.8.tar.gz --json",
        "artifacts install PLACE/nothing",
        "artifacts install PLACE/catalog.toml",
        "artifacts check",
        "artifacts check --json",
        "artifacts rollback",
        "artifacts fetch --tag v9.7 --from ORIGIN/none",
        "artifacts list --json",
    ],
    "events": [
        "settings set boot.max_attempts 4",
        f"machine mode {M1} bty-tui",
        "events --kind machine.*",
        "events --kind machine.* --json --limit 1",
        "events --search never",
        f"events --machine {M1}",
        "events --failed",
        "events --all --kind machine.*",
        "events --since then",
    ],
    "backups": [
        "backups list",
        "backups list --json",
        "backup",
        "backup --no-state",
        "backups list",
        "backups show 2026-01-01T00-00-00Z",
        "backups pin nothing",
        "backups unpin nothing",
        "backups remove nothing",
    ],
    "webhooks": [
        "webhook list",
        "webhook test",
        "settings set webhook.targets *failed,ORIGIN/none",
        "webhook list",
        "webhook test",
    ],
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_command_is_the_same_in_both_forms(rack: Rack, script: str) -> None:
    rack.token()
    rack.locally("token", "create", "laptop", "--scope", "admin")  # both logs have it

    for line in SCRIPTS[script]:
        for name, value in rack.words.items():
            line = line.replace(name, value)  # noqa: PLW2901
        words = [word.replace(",", " ") if "*" in word else word for word in line.split(" ")]
        here, there = rack.locally(*words), rack.remotely(*words)

        assert (line, there.status, there.out.splitlines()) == (
            *(line, here.status, here.out.splitlines()),
        )
        if here.status:
            assert (line, there.err.splitlines()[-1:]) == (line, here.err.splitlines()[-1:])


def acts(name: str) -> list[str]:
    """The acts of a command; the empty word of one that has none."""
    parser = argparse.ArgumentParser()
    importlib.import_module(COMMANDS[name].module).configure(parser)
    found = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return [act for action in found for act in action.choices] or [""]


@pytest.mark.parametrize("name", [name for name, row in COMMANDS.items() if row.over_http])
def test_every_act_is_in_a_script(name: str) -> None:
    """A new one has to be tried in both forms."""
    lines = [f"{line} " for script in SCRIPTS.values() for line in script]

    for act in acts(name):
        assert any(line.startswith(f"{name} {act}".rstrip() + " ") for line in lines), act


def test_a_backup_is_shown_pinned_and_removed_from_elsewhere(rack: Rack) -> None:
    rack.token()
    assert rack.remotely("backup").status == 0
    places = (rack.far.database.path.parent / "backups").iterdir()
    (name,) = (place.name for place in places if not place.name.startswith("."))

    assert rack.remotely("backups", "show", name).status == 0
    assert rack.remotely("backups", "pin", name).status == 0
    refused = rack.remotely("backups", "remove", name)
    assert (refused.status, "pinned" in refused.err) == (75, True)
    assert rack.remotely("backups", "unpin", name).status == 0
    assert rack.remotely("backups", "remove", name).status == 0
    assert rack.remotely("backups", "show", name).status == 66
