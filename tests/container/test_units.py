"""The units and compose files that we ship or tell of, read by the programs that they are for."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from bty_app.deploy import choices, files
from tests.container.images import CONTAINER
from tests.container.lab import podman_compose
from tests.pyz import tools

DOCS = CONTAINER.parent / "docs" / "how-to"
_BLOCK = re.compile(r"^ *```ini\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
QUADLET = tools.ROOT / ".venv/quadlet/usr/libexec/podman/quadlet"


def _told(page: str, section: str) -> list[str]:
    """The units with that section in the blocks of a page of the how-tos."""
    blocks = _BLOCK.findall((DOCS / page).read_text("utf-8"))
    plain = ["\n".join(line.strip() for line in block.splitlines()) for block in blocks]
    return [text for text in plain if f"[{section}]" in text]


def _verify(directory: Path) -> str:
    """What systemd has to say of the units there, but for programs that are not on this host."""
    program = shutil.which("systemd-analyze")
    assert program, "the program systemd-analyze is missing: no unit is proven here; apt: systemd"
    units = sorted(map(str, directory.glob("*.service")))
    done = subprocess.run(
        [program, "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{directory}:"},
        timeout=60,
        check=False,
    )
    lines = (done.stdout + done.stderr).splitlines()
    ours = [line for line in lines if str(directory) in line or "bty" in line]
    return "\n".join(line for line in ours if "is not executable" not in line)


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    (unit,) = _told("run-as-a-service.md", "Unit")
    (tmp_path / "bty.service").write_text(unit)
    for path in (CONTAINER / "systemd").glob("*.service"):
        shutil.copy(path, tmp_path)

    assert len(list(tmp_path.iterdir())) >= 2
    assert _verify(tmp_path) == ""


@pytest.mark.parametrize("wrong", ["ProtectSysten=strict", "ExecStop=relative/x"])
def test_systemd_would_say_what_is_wrong(tmp_path: Path, wrong: str) -> None:
    (unit,) = _told("run-as-a-service.md", "Unit")
    (tmp_path / "bty.service").write_text(unit.replace("[Service]", f"[Service]\n{wrong}"))

    said = _verify(tmp_path)
    assert wrong.partition("=")[0] in said or wrong.partition("=")[2] in said


def _generated(directory: Path) -> subprocess.CompletedProcess[str]:
    """The services that a real Quadlet generator makes of the units there."""
    assert QUADLET.exists(), f"{QUADLET} is missing: no Quadlet unit is proven here; tests/run"
    return subprocess.run(
        [QUADLET, "-dryrun", "-no-kmsg-log"],
        capture_output=True,
        text=True,
        env={**os.environ, "QUADLET_UNIT_DIRS": str(directory)},
        timeout=60,
        check=False,
    )


def _deployed(directory: Path, **told: str) -> None:
    """The units of a deployment with these choices."""
    told = {"HOST_ADDR": "192.0.2.10", "WITHCACHE_ADMIN_PASSWORD": "x"} | told
    place = Path("/srv/bty")
    chosen = choices.read(files.example().changed(told), place)
    image = chosen.image if chosen.auto_update else f"sha256:{'a' * 64}"
    (directory / files.BTY_UNIT).write_text(files.bty_unit(chosen, place, image))
    (directory / files.WITHCACHE_UNIT).write_text(files.withcache_unit(chosen, place))
    litestream = "bty-litestream.container"
    shutil.copy(CONTAINER / "quadlet" / litestream, directory / litestream)


_CHOSEN: dict[str, dict[str, str]] = {
    "defaults": {},
    "tftp": {"BTY_TFTP": "yes", "BTY_PORT": "80"},
    "registry": {"BTY_IMAGE": "registry.example.com/bty:1.0", "BTY_AUTO_UPDATE": "yes"},
}


@pytest.mark.parametrize("told", _CHOSEN.values(), ids=_CHOSEN)
def test_a_quadlet_generator_and_systemd_take_the_units(
    tmp_path: Path, told: dict[str, str]
) -> None:
    units, services = tmp_path / "units", tmp_path / "services"
    units.mkdir()
    services.mkdir()
    _deployed(units, **told)

    done = _generated(units)
    found = re.split(r"^---(\S+)---$", done.stdout, flags=re.MULTILINE)[1:]
    for name, text in zip(found[::2], found[1::2], strict=True):
        (services / name).write_text(text)

    assert done.returncode == 0, done.stderr
    assert {path.name for path in services.iterdir()} == {
        *("bty.service", "withcache.service", "bty-litestream.service"),
    }
    assert _verify(services) == ""
    command = _command(services / "bty.service")
    assert {"--read-only", "--stop-timeout=30", "/srv/bty/quadlet/bty.env"} <= set(command)
    assert command[command.index("--cap-drop") + 1] == "all"
    assert ("--label" in command) == ("BTY_AUTO_UPDATE" in told)
    assert ("--publish" in command) == ("BTY_TFTP" not in told)
    if "BTY_TFTP" in told:
        assert command[command.index("--network") + 1] == "host"
        assert command[command.index("--cap-add") + 1] == "net_bind_service"
        assert command[-3:] == ["serve", "--tftp", "--proxy-dhcp"]


def _command(service: Path) -> list[str]:
    found = re.search(r"^ExecStart=(.*)$", service.read_text(), re.MULTILINE)
    assert found
    return shlex.split(found[1])


def test_the_units_as_they_lie_in_container_are_taken_too(tmp_path: Path) -> None:
    for path in (CONTAINER / "quadlet").iterdir():
        shutil.copy(path, tmp_path)

    done = _generated(tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ExecStart=") == len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("wrong", ["DropCapabilities=all", "ReadOnlyRoot=true"])
def test_a_quadlet_generator_would_say_what_is_wrong(tmp_path: Path, wrong: str) -> None:
    _deployed(tmp_path)
    unit = tmp_path / files.BTY_UNIT
    unit.write_text(unit.read_text().replace("[Container]", f"[Container]\n{wrong}"))

    done = _generated(tmp_path)

    assert done.returncode != 0
    assert wrong.partition("=")[0] in done.stderr


def test_litestream_is_stopped_and_started_with_bty(tmp_path: Path) -> None:
    _deployed(tmp_path)
    unit = (tmp_path / "bty-litestream.container").read_text()
    bty = (tmp_path / files.BTY_UNIT).read_text()

    shared = re.search(r"^Volume=(/srv/bty/data/bty:/var/lib/bty:z)$", unit, re.MULTILINE)

    assert shared
    assert shared[0] in bty


_ENVIRONMENT = {
    "HOST_ADDR": "192.0.2.10",
    "WITHCACHE_ADMIN_PASSWORD": "a password",
    "BTY_LITESTREAM_URL": "s3://bucket/bty",
}
_FILES = ["-f", "compose.yml", "-f", "compose.litestream.yml"]


def _composed(
    program: list[str], environment: dict[str, str], place: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*program, *_FILES, "config"],
        cwd=place,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_compose_takes_the_stack_with_litestream(tmp_path: Path) -> None:
    for name in ("compose.yml", "compose.litestream.yml"):
        shutil.copyfile(CONTAINER / name, tmp_path / name)
    (tmp_path / "litestream.env").touch()
    programs = [[podman_compose()]]
    docker = shutil.which("docker")
    plugin = docker and subprocess.run(
        [docker, "compose", "version"], capture_output=True, check=False
    )
    if docker and plugin and plugin.returncode == 0:
        programs.append([docker, "compose"])
    for program in programs:
        done = _composed(program, _ENVIRONMENT, tmp_path)
        assert done.returncode == 0, done.stderr
        for words in ("replicate -no-expand-env", "s3://bucket/bty", "192.0.2.10:8081"):
            assert words in done.stdout or words.split()[-1] in done.stdout
        without = _composed(program, {**_ENVIRONMENT, "BTY_LITESTREAM_URL": ""}, tmp_path)
        assert without.returncode != 0
        assert "set BTY_LITESTREAM_URL" in without.stdout + without.stderr
