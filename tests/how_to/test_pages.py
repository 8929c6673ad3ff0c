"""The commands of how-to pages do on a host what the page says."""

from __future__ import annotations

import compileall
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import pytest

from bty_app import __version__
from bty_app.domain.image_source import image_ref
from tests.crashlab.originals import make_original
from tests.how_to.host import ORIGINAL, ROOT, Block, Host, blocks
from tests.original_state import AT

pytestmark = pytest.mark.system

PAGES = ROOT / "docs/how-to"
MAC = "52:54:00:12:34:56"
OTHERS = ("02:00:00:00:00:01", "02:00:00:00:00:02")
SRC = "https://images.example.com/debian.img.zst"
REF = image_ref(SRC)
LSHW = '{"id": "box", "class": "system"}'
DISKS = '[{"path": "/dev/sda", "serial": "S1", "size_bytes": 1000}]'
START = "systemctl start bty\n"
MADE = f"""{START}
bty settings set backup.cadence manual
bty machine set {MAC} --mode bty-inventory --serial S1 --label rack-3
bty machine set {OTHERS[0]} --mode ipxe-exit
"""
IS_THERE = f"bty machine show {MAC} | grep rack-3\n"


def served(_host: Host) -> None:
    """A host with two machines, which takes no backups by itself: two at a time are refused."""


def of_the_original(host: Host) -> None:
    """The original left its state directory: a machine is bound, and waits for a flash."""
    path = host.state / "state.db"
    make_original(path, version="0.65.18")
    connection = apsw.Connection(str(path))
    connection.executemany(
        "INSERT INTO machines (mac, bty_image_ref, boot_mode, target_disk_serial, known_disks,"
        " known_disks_at, hw_lshw, hw_lshw_at, created_at, updated_at)"
        f" VALUES (?, '{REF}', 'bty-flash-once', 'S1', ?, '{AT}', ?, '{AT}', '{AT}', '{AT}')",
        [(mac, DISKS, LSHW) for mac in (MAC, *OTHERS)],
    )
    connection.execute("INSERT INTO machine_labels VALUES (?, 'rack-3')", (MAC,))
    connection.execute(
        "INSERT INTO catalog_entries (bty_image_ref, src, name, added_at, size_bytes)"
        f" VALUES ('{REF}', '{SRC}', 'debian', '{AT}', 7)"
    )
    connection.close()
    host.install("0.65.18")


def beside_the_original(host: Host) -> None:
    """The same, and it is installed: it knows no command of ours."""
    of_the_original(host)
    host.install("0.65.18", ORIGINAL)


def of_a_release_before(host: Host) -> None:
    """An older release of ours is installed."""
    host.install("0.91.0")


def with_a_place(host: Host) -> None:
    """Backups go to a directory of another disk."""
    (host.srv / "nas/bty").mkdir(parents=True)
    (host.etc / "bty.toml").write_text('[offsite]\nurl = "file:///srv/nas/bty"\n')


@dataclass(frozen=True, slots=True)
class Walk:
    """A page, or those parts of it: the host before it, and what must be said.

    `first` and `then` are commands in front of its own and behind them. Those of `ahead` stand in
    front of the block that has a text in it: what another person or host does in between. Blocks
    with the text of `but` are passed over.
    """

    page: str
    before: Callable[[Host], None] = served
    first: str = ""
    then: str = ""
    said: tuple[str, ...] = field(default=())
    parts: tuple[str, ...] = ()
    but: str = ""
    ahead: tuple[tuple[str, str], ...] = ()

    def script(self) -> str:
        """All commands in their order. The network of documents is the loopback here."""
        texts = [block.text for block in self.blocks()]
        for has, commands in self.ahead:
            at = next(at for at, text in enumerate(texts) if has in text)
            texts.insert(at, commands)
        return "".join([self.first, "set -x\n", *texts, self.then]).replace("192.0.2.", "127.0.0.")

    def blocks(self) -> list[Block]:
        """What it walks."""
        return [
            block
            for block in blocks(PAGES / f"{self.page}.md")
            if not block.left_out
            and (not self.parts or block.heading in self.parts)
            and not (self.but and self.but in block.text)
        ]

    @property
    def id(self) -> str:
        """A name of its own."""
        return ":".join([self.page, *self.parts[-1:], *self.but.split()]).replace(" ", "-")


KEYBOARD = """
bty() {
  case "$1 ${2:-} ${3:-}" in
    "offsite key enter") command bty "$@" <"/tmp/paper" ;;
    *) command bty "$@" ;;
  esac
}
sudo() {
  case "$*" in
    "bty offsite key create "*)
      mkfifo /tmp/keys
      command bty "${@:2}" </tmp/keys | tee /tmp/paper >/tmp/keys ;;
    *) command sudo "$@" ;;
  esac
}
"""
NEW_HOST = """
systemctl stop bty
find /var/lib/bty -mindepth 1 -delete
rm -rf back
"""
DAMAGE = """
systemctl stop bty
dd if=/dev/zero of=/var/lib/bty/state.db bs=4096 seek=2 count=3 conv=notrunc status=none
"""
OLD_HOST = "export BTY_PATHS_STATE_DIR=/srv/old BTY_SERVER_HOST=192.0.2.10\n"
SECOND_HOST = "export BTY_PATHS_STATE_DIR=/var/lib/bty BTY_SERVER_HOST=192.0.2.20\n"
CATALOG = f"""cat >/srv/catalog.toml <<'END'
version = 1

[[images]]
name = "debian"
src = "{SRC}"
sha256 = "{"5" * 64}"
END
bty catalog import /srv/catalog.toml
"""

WALKS = (
    Walk(
        "export-and-import",
        of_the_original,
        START,
        said=("3 machines", "unchanged"),
    ),
    Walk(
        "back-up",
        served,
        START,
        """
sha256sum -c --quiet <(cd /srv/backups/*/ && sed "s|  |  $PWD/|" SHA256SUMS)
[ "$(bty backups list --json | jq -r '.[] | select(.pinned_at) | .drilled_at != null')" = true ]
sqlite3 -readonly /srv/bty-state.db "SELECT label FROM machine_labels" | grep rack-3
tar -tzf /srv/bty-whole.tar.gz | grep -x bty/state.db
""",
    ),
    Walk(
        "schedule-backups",
        served,
        START + "bty backup\n",
        "bty settings list | grep -E 'backup.(cadence|at|zone)'\n",
        said=("weekly", "22:30", "Europe/Berlin", "backup.created"),
    ),
    Walk(
        "restore-a-backup",
        served,
        f"""{START}
systemctl stop bty
tar -C /var/lib -czf /srv/bty-whole.tar.gz bty
cp -a /var/lib/bty/state.db /srv/bty-copy.db
systemctl start bty
bty backup
bty machine set {MAC} --label rack-4
bty machine forget {OTHERS[0]}
""",
        f"{IS_THERE}ls /srv/bty-before/quarantine\n",
        ahead=(
            ("--only", IS_THERE),
            ("--undo --yes", f"bty machine forget {OTHERS[0]}\n"),
            ("tar -C", f"{IS_THERE}bty machine forget {MAC}\n"),
            ("bty-copy.db\n", f"{IS_THERE}bty machine forget {MAC}\n"),
            ("sudo cp /srv", f"{IS_THERE}bty machine forget {MAC}\n"),
            ('systemctl stop bty\nbty restore --yes "$backup"', DAMAGE),
        ),
    ),
    Walk(
        "recover-an-old-database",
        of_the_original,
        START,
        f"bty machine show {MAC} | grep S1\n",
        said=("waited for a flash", "salvaged machines"),
        ahead=(
            ("sqlite3", f"{IS_THERE}bty machine show {MAC} | grep bty-inventory\n"),
            ("damaged=", f"{DAMAGE}{START}"),
        ),
    ),
    Walk(
        "upgrade",
        beside_the_original,
        "",
        """
sqlite3 -readonly /var/lib/bty/state.db "SELECT version, boot_mode FROM bty_version, machines"
jq -r '.machines | length' /srv/before-the-upgrade/inventory.json
""",
        said=("0.65.18|bty-flash-once",),
        parts=(
            "Upgrade",
            "Which machine was bound to what",
            "Before you upgrade, if you want more",
            "Go back to the original, or to 0.91",
        ),
        ahead=(("rollback", f"{IS_THERE}bty machine show {MAC} | grep {REF}\n"),),
    ),
    Walk(
        "upgrade",
        of_a_release_before,
        MADE,
        f"bty --version\n{IS_THERE}",
        said=("this release's own database is back", "bty 0.91.0"),
        parts=("Upgrade", "Go back"),
    ),
    Walk(
        "upgrade",
        of_a_release_before,
        MADE,
        "bty --version\n",
        said=("a fresh one holds the hardware of 2 machines", f"bty {__version__}"),
        parts=("By hand",),
    ),
    Walk(
        "move-to-another-host",
        served,
        f"echo {'1' * 32} >/etc/machine-id\n{START}",
        IS_THERE,
        said=("new-host", "this server has moved to http://127.0.0.20:8080"),
        parts=("Copy the state directory",),
        ahead=(
            (
                "-xpzf",
                f"{START}curl -s http://127.0.0.1:8080/pxe/{MAC}\n{NEW_HOST}"
                f"echo {'2' * 32} >/etc/machine-id\n",
            ),
        ),
    ),
    Walk(
        "move-to-another-host",
        served,
        "cp -a /var/lib/bty /srv/old\nfind /var/lib/bty -mindepth 1 -delete\n"
        f"{OLD_HOST}{START}mv /run/bty.pid /run/old.pid\n",
        f"curl -s http://192.0.2.10:8080/pxe/{MAC}\n",
        parts=("Take over a running appliance", "Take it back"),
        said=(
            f"{MAC}: this server has moved to http://127.0.0.20:8080",
            "serves again",
        ),
        ahead=(
            ("--from", SECOND_HOST),
            (
                "--cancel",
                f"{START}{IS_THERE}curl -s http://192.0.2.10:8080/pxe/{MAC}\n"
                f"systemctl stop bty\n{OLD_HOST}",
            ),
        ),
    ),
    Walk(
        "keep-backups-off-site",
        with_a_place,
        START + "bty backup\n",
        IS_THERE + "ls /srv/nas/bty/*/state.db\n",
        but="offsite key",
        ahead=(("copy=", NEW_HOST),),
    ),
    Walk(
        "keep-backups-off-site",
        with_a_place,
        f"{KEYBOARD}{START}bty backup\n",
        IS_THERE + "ls /srv/nas/bty/*/state.db.sealed\n",
        ahead=(
            ("offsite push", "echo 'key_file = \"/etc/bty/offsite.key\"' >>/etc/bty/bty.toml\n"),
            ("key enter", NEW_HOST + "sed -i /key_file/d /etc/bty/bty.toml\n"),
        ),
    ),
    Walk("doctor", served, START, said=("live-environment", "warning: ")),
    Walk(
        "recover-a-failed-flash",
        served,
        f"""{START}{CATALOG}
bty machine set {MAC} --mode bty-flash-once --image {REF}
curl -s http://127.0.0.1:8080/pxe/{MAC}
""",
        said=("sanboot",),
    ),
    Walk(
        "use-the-api-with-a-token",
        served,
        START,
        """
curl -s -H "Authorization: Bearer $(cat ci.token)" http://192.0.2.1:8080/machines
bty machine list
""",
        said=(f'"mac": "{MAC}"', f"\n{MAC}\n", "unknown or revoked", f"{MAC}  ipxe-exit"),
    ),
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This tree's program, compiled once for all hosts."""
    place = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "bty_app", place / "bty_app")
    assert compileall.compile_dir(place, quiet=1)
    return place


@pytest.fixture(scope="module")
def state(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a host with two machines, made once."""
    host = Host(tmp_path_factory.mktemp("served") / "host", tree)
    done = host.run(MADE)
    assert done.status == 0, done.said
    shutil.rmtree(host.state / "backups", ignore_errors=True)
    return host.state


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.id)
def test_a_page_is_walked_from_its_first_command_to_its_last(
    walk: Walk, quick_dir: Path, tree: Path, state: Path
) -> None:
    host = Host(quick_dir / "host", tree)
    if walk.before in {served, with_a_place}:
        shutil.copytree(state, host.state, dirs_exist_ok=True)
    walk.before(host)

    done = host.run(walk.script())

    assert done.status == 0, done.said
    for words in walk.said:
        assert words in done.said, done.said


@pytest.mark.parametrize("page", sorted({walk.page for walk in WALKS}))
def test_no_part_of_a_page_is_passed_over(page: str) -> None:
    walked = [block for walk in WALKS if walk.page == page for block in walk.blocks()]

    assert walked
    for block in blocks(PAGES / f"{page}.md"):
        assert block.left_out or block in walked, block


def test_a_command_that_fails_fails_the_page(quick_dir: Path, tree: Path) -> None:
    done = Host(quick_dir / "host", tree).run("bty verify /srv/nothing\necho unreached\n")

    assert done.status != 0
    assert "unreached" not in done.said


def test_what_is_left_out_says_why(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\nbty a\n```\n\n<!-- not run: it needs two hosts -->\n```sh\nbty b\n```\n"
        "## Two\n1. x\n\n   ```sh\n   # no heading\n   bty c\n   ```\n"
    )

    assert blocks(page) == [
        Block("bty a\n"),
        Block("bty b\n", "it needs two hosts"),
        Block("# no heading\nbty c\n", heading="Two"),
    ]
