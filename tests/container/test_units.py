"""The units and compose files that we ship or tell of, read by the programs that they are for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.container.conftest import CONTAINER
from tests.container.lab import podman_compose

DOCS = CONTAINER.parent / "docs" / "how-to"
_BLOCK = re.compile(r"^ *```ini\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_QUADLETS = (
    *("/usr/lib/systemd/system-generators/podman-system-generator", "/usr/libexec/podman/quadlet"),
)


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


def test_a_quadlet_generator_takes_the_units(tmp_path: Path) -> None:
    quadlet = next((path for path in _QUADLETS if Path(path).exists()), None)
    for path in (CONTAINER / "quadlet").iterdir():
        shutil.copy(path, tmp_path)
    _known_keys(tmp_path)
    if quadlet is None:
        pytest.skip("NO QUADLET GENERATOR HERE (podman 4.4 has one): only the keys were looked at")
    done = subprocess.run(
        [quadlet, "-dryrun", "-no-kmsg-log"],
        capture_output=True,
        text=True,
        env={**os.environ, "QUADLET_UNIT_DIRS": str(tmp_path)},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ExecStart=") == len(list(tmp_path.iterdir()))


# podman-systemd.unit(5), [Container]; those that we use.
_KEYS = frozenset(
    {
        *("AddCapability", "AutoUpdate", "ContainerName", "DropCapability", "Environment"),
        *("EnvironmentFile", "Exec", "Group", "HealthCmd", "HealthInterval", "HealthRetries"),
        *("HealthStartPeriod", "HealthTimeout", "Image", "Network", "NoNewPrivileges"),
        *("PublishPort", "ReadOnly", "User", "UserNS", "Volume"),
    }
)


def _known_keys(directory: Path) -> None:
    for path in directory.iterdir():
        section = path.read_text("utf-8").partition("[Container]")[2].partition("\n[")[0]
        keys = set(re.findall(r"^(\w+)=", section, re.MULTILINE))
        assert "Image" in keys, path.name
        assert keys <= _KEYS, (path.name, keys - _KEYS)


_ENVIRONMENT = {
    "HOST_ADDR": "192.0.2.10",
    "WITHCACHE_ADMIN_PASSWORD": "a password",
    "BTY_LITESTREAM_URL": "s3://bucket/bty",
}
_FILES = ["-f", "compose.yml", "-f", "compose.litestream.yml"]


def _composed(program: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*program, *_FILES, "config"],
        cwd=CONTAINER,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_compose_takes_the_stack_with_litestream() -> None:
    programs = [[podman_compose()]]
    docker = shutil.which("docker")
    plugin = docker and subprocess.run(
        [docker, "compose", "version"], capture_output=True, check=False
    )
    if docker and plugin and plugin.returncode == 0:
        programs.append([docker, "compose"])
    for program in programs:
        done = _composed(program, _ENVIRONMENT)
        assert done.returncode == 0, done.stderr
        for words in ("replicate -no-expand-env", "s3://bucket/bty", "192.0.2.10:8081"):
            assert words in done.stdout or words.split()[-1] in done.stdout
        without = _composed(program, {**_ENVIRONMENT, "BTY_LITESTREAM_URL": ""})
        assert without.returncode != 0
        assert "set BTY_LITESTREAM_URL" in without.stdout + without.stderr
