"""`flash` and `wizard` from the command line: no state directory, no database, no surprise."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bty_app.cli import flash as command
from bty_app.cli import main as cli
from bty_app.cli.flasher_parts import Machine
from bty_app.config import Config
from bty_app.errors import BtyError, FlashIntegrityError, FlashRefusedError
from bty_app.flasher.disks import Part
from bty_app.flasher.keys import Keys
from tests.flasher.fakes import DISK, OTHER, FakeFlash
from tests.flasher.original import Original, original
from tests.terminal import terminal

REPOSITORY = Path(__file__).parents[2]
MAC = "52:54:00:12:34:56"
FLASH: dict[str, object] = {
    "mode": "flash",
    "image": "http://127.0.0.1:9/a.img.gz",
    "target_disk_serial": "S1",
}


class Nobody(Keys):
    """Nobody is at the console; or somebody, who types this."""

    def __init__(self, typed: str | None = None) -> None:
        super().__init__(-1)
        self.attended = typed is not None
        self._typed = typed

    def line(self, seconds: float | None = None) -> str | None:
        return self._typed


@dataclass
class Box:
    """A machine with two disks, and a flash that writes nothing."""

    directory: Path
    flash: FakeFlash = field(default_factory=FakeFlash)
    typed: str | None = None
    dates: list[str] = field(default_factory=list)
    reboots: list[int] = field(default_factory=list)

    def bty(self, *words: str) -> int:
        """`bty flash`, with the exit status of the program."""
        disks = [DISK, replace(OTHER, parts=(Part("sdb1", 2**30, "ext4", "home"),))]
        machine = Machine(
            probe=lambda: disks,
            flash=lambda _http, _registry: self.flash,
            check=lambda _http, _registry: self.flash.check,
            keys=lambda: Nobody(self.typed),
            set_clock=self.dates.append,
            reboot=lambda: self.reboots.append(1),
            command_line=self.directory / "cmdline",
            status=self.directory / "bty.status",
            marks=(self.directory / "kmsg",),
        )
        parser = cli._command_parser("bty flash", cli.COMMANDS["flash"])
        command.configure(parser)
        try:
            return command.run_on(machine, parser.parse_args(words), Config())
        except BtyError as error:
            print(error.message, file=sys.stderr)
            return cli.exit_code(error)
        except SystemExit as stop:
            return int(str(stop.code))


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "debian.img.zst"
    path.write_bytes(b"image")
    return str(path)


@pytest.fixture
def old() -> Iterator[Original]:
    with original() as host:
        yield host


# -- one image onto one disk -------------------------------------------------------------------


def test_an_image_is_flashed_onto_a_disk_after_all_that_is_lost_was_shown(
    box: Box, image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = "AB" * 32

    assert box.bty(image, "S2", "--yes", "--sha256", f"sha256:{digest}", "--verify") == 0

    (order, path), *_ = box.flash.orders
    assert path == "/dev/sdb"
    assert (order.format, order.sha256, order.verify) == ("img.zst", "ab" * 32, True)
    assert order.sources[0].kind == "file"
    said = capsys.readouterr().err.replace("\n", " ")
    squeezed = "".join(said.split())  # a path may be longer than the lines of a console
    for words in ("will be ERASED", "Disk Two", "S2", "1.0 TiB", "sdb1  1.0 GiB  ext4 home", image):
        assert "".join(words.split()) in squeezed
    assert said.index("will be ERASED") < said.index("writing")
    assert "flashed Disk Two (serial S2, /dev/sdb): 400 B in 2 s" in said


def test_nobody_to_ask_is_a_no(box: Box, image: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert box.bty(image, "/dev/sda") == 73

    assert "give --yes; nothing was written" in capsys.readouterr().err
    assert box.flash.orders == []


@pytest.mark.parametrize(("answer", "status"), [("yes", 0), ("Y ", 0), ("", 130), ("no", 130)])
def test_a_person_is_asked(box: Box, image: str, answer: str, status: int) -> None:
    box.typed = answer

    assert box.bty(image, "/dev/sda") == status

    assert len(box.flash.orders) == (status == 0)


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        (["none.img", "/dev/sda"], 66, "there is no file none.img"),
        (["IMAGE"], 65, "say which disk"),
        (["IMAGE", "S3"], 73, "no disk has the serial 'S3'"),
        (["IMAGE", "/dev/null"], 73, "/dev/null is no device"),
        (["IMAGE", "/dev/sda", "--sha256", "xyz"], 65, "is not 64 hexadecimal digits"),
        (["IMAGE", "/dev/sda", "--server", "h"], 65, "either an image and a disk, or"),
        (["http://127.0.0.1:9/download", "/dev/sda"], 73, "nothing says which format"),
        (["--server", "h"], 65, "has no bty.server= and bty.mac="),
        (["--server", "h", "--mac", "x"], 65, "invalid MAC"),
        (["--server", "ftp://h", "--mac", MAC], 65, "is not the address of a server"),
        (["IMAGE", "/dev/sda", "--wipe", "dd"], 2, "invalid choice"),
        (["IMAGE", "/dev/sda", "--format", "iso"], 2, "invalid choice"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    box: Box,
    image: str,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    status: int,
    why: str,
) -> None:
    arguments = [image if word == "IMAGE" else word for word in words]

    assert box.bty("--yes", *arguments) == status

    assert why in capsys.readouterr().err
    assert box.flash.orders == []


def test_a_failed_flash_has_its_own_exit_status(
    box: Box, image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise FlashIntegrityError("the digest differs; the disk does not boot")

    box.flash.acts = [fail]

    assert box.bty(image, "/dev/sda", "--yes") == 65
    assert "the digest differs; the disk does not boot" in capsys.readouterr().err


def test_a_disk_is_wiped_first_and_what_cannot_be_wiped_is_not_flashed(
    box: Box, image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert box.bty(image, "S2", "--yes", "--wipe", "secure") == 73

    said = capsys.readouterr().err
    assert "the disk is wiped (secure)" in said
    assert "has no secure erase" in said
    assert box.flash.orders == []


def test_nothing_is_wiped_for_an_image_that_is_refused(
    box: Box, image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise FlashRefusedError("the image does not fit; nothing was written")

    box.flash.checks = [refuse]

    # A wipe of this disk would be refused with another sentence, or try to open it.
    assert box.bty(image, "S2", "--yes", "--wipe", "overwrite") == 73

    said = capsys.readouterr().err
    assert "does not fit; nothing was written" in said
    assert "wiped Disk Two" not in said
    assert [path for _order, path in box.flash.checked] == ["/dev/sdb"]
    assert box.flash.orders == []


# -- what a server wants -----------------------------------------------------------------------


def test_a_machine_does_what_its_server_wants(
    box: Box, old: Original, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old.plan = FLASH
    server = old.url.removeprefix("http://")

    status = box.bty("--server", server, "--mac", "52-54-00-12-34-56", "--no-reboot")

    assert status == 0
    assert [path for _order, path in box.flash.orders] == ["/dev/sda"]
    assert old.taken("status") == [b'{"status": "done"}']
    assert [disk["serial"] for disk in json.loads(old.taken("inventory")[0])["disks"]] == [
        "S1",
        "S2",
    ]
    assert "phase=" in (tmp_path / "bty.status").read_text()
    assert "bty: flash complete; rebooting" in capsys.readouterr().err


def test_a_live_environment_takes_both_from_the_kernel_command_line(
    box: Box, old: Original, tmp_path: Path
) -> None:
    (tmp_path / "cmdline").write_text(f"quiet bty.server={old.url} bty.mac={MAC}\n")

    assert box.bty("--no-reboot") == 0

    assert old.asked[-1] == ("GET", "plan")
    assert (tmp_path / "kmsg").read_text().startswith("bty: exiting v")
    assert box.dates


def test_the_clock_of_a_host_is_not_a_servers_business(box: Box, old: Original) -> None:
    assert box.bty("--server", old.url, "--mac", MAC, "--no-reboot") == 0
    assert box.dates == []
    assert box.reboots == []
    assert box.bty("--server", old.url, "--mac", MAC) == 0
    assert box.reboots == [1]


def test_a_mark_is_not_written_twice_to_the_terminal_that_is_the_console(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    active, (leader, terminal_end) = tmp_path / "active", pty.openpty()
    machine = Machine(marks=(tmp_path / "kmsg", tmp_path / "console"), active_consoles=active)
    with open(terminal_end, "w") as stderr:  # noqa: PTH123 - a descriptor
        monkeypatch.setattr("sys.stderr", stderr)
        elsewhere = machine.watched()
        active.write_text(f"tty0 {Path(os.ttyname(terminal_end)).name}\n")
        here = machine.watched()
    os.close(leader)

    assert [path.name for path in elsewhere] == ["kmsg", "console"]
    assert [path.name for path in here] == ["kmsg"]


def test_a_mark_stands_once_on_a_console_that_a_live_environment_copies_to(tmp_path: Path) -> None:
    """The work has a terminal of its own, which is no console."""
    active, console, (leader, line) = tmp_path / "active", tmp_path / "console", pty.openpty()
    active.write_text(f"tty0 {Path(os.ttyname(line)).name}\n")
    program = (
        "import sys; from pathlib import Path; from bty_app.cli import flasher_parts, terminals\n"
        "machine = flasher_parts.Machine(marks=(Path('kmsg'), Path('console')),"
        f" active_consoles=Path({str(active)!r}))\n"
        "work = lambda: [print('marks:', *machine.watched(), flush=True), 0][1]\n"
        "sys.exit(terminals.on_all([Path(sys.argv[1])], work))"
    )

    done = subprocess.run([sys.executable, "-c", program, os.ttyname(line)], check=True)

    said = os.read(leader, 4096).decode()
    os.close(leader)
    os.close(line)
    assert done.returncode == 0
    assert not console.exists()
    assert said.split() == ["marks:", "kmsg"]


def test_at_a_terminal_a_wait_counts_down_and_a_key_leads_to_the_wizard(tmp_path: Path) -> None:
    words = ("flash", "--server", "127.0.0.1:9", "--mac", MAC, "--no-reboot")

    with terminal(tmp_path, "-m", "bty_app", *words) as at:
        at.wait_for("bty: entered v")
        at.wait_for("Connection refused")
        at.wait_for("press a key for the wizard")
        at.type("x")
        at.wait_for("Where are the images?")
        at.type("q\r")
        at.wait_for("left the wizard; no disk was written")
        at.wait_for("bty: exiting v")
        assert at.end() == 0


# -- what it does not need ---------------------------------------------------------------------


def test_what_only_tells_its_hardware_does_not_wait_for_the_flash_and_the_wizard(
    old: Original, tmp_path: Path
) -> None:
    old.plan = {"mode": "inventory"}
    code = "import sys; from bty_app.cli.main import main; status = main(sys.argv[1:]);"
    code += "print(*(name for name in sys.modules if 'bty_app' in name)); sys.exit(status)"
    words = ["flash", "--server", old.url, "--mac", MAC, "--no-reboot"]

    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert old.taken("inventory")
    loaded = done.stdout.split()
    later = ("attempt", "stream", "decoders", "writer", "fetch", "wizard.wizard", "efi")
    assert not {f"bty_app.flasher.{name}" for name in later}.intersection(loaded)
    assert "bty_app.domain.catalog_toml" not in loaded


POISONED = """
import sys
for name in ("apsw", "falcon", "waitress", "jinja2"):
    sys.modules[name] = None
from bty_app.cli.main import main
status = main(sys.argv[1:])
loaded = sorted(name for name in sys.modules if name.startswith(("bty_app.store", "bty_app.web")))
print("loaded:", *loaded)
sys.exit(status)
"""


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["flash", "none.img", "/dev/none"], 66),
        (["flash", "--help"], 0),
        (["flash"], 65),
        (["wizard"], 0),
        (["wizard", "--catalog", "none.toml"], 0),
    ],
)
def test_neither_a_database_nor_a_state_directory_is_needed(
    tmp_path: Path, words: list[str], status: int
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o500)

    done = subprocess.run(
        [sys.executable, "-c", POISONED, *words],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "XDG_STATE_HOME": str(home / "state")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert list(home.iterdir()) == []
    loaded = done.stdout.rpartition("loaded:")[2].split()
    assert set(loaded) <= {"bty_app.store", "bty_app.store.publish", "bty_app.store.directories"}
