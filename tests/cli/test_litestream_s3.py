"""Litestream to a bucket, with the configuration that bty prints for it; its host is lost."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from tests import places
from tests.appliances import appliance
from tests.cli.test_litestream import MAC, PROGRAM, fresh

_KEYS = {
    "LITESTREAM_ACCESS_KEY_ID": places.ACCESS,
    "LITESTREAM_SECRET_ACCESS_KEY": places.SECRET,
}


def test_a_killed_host_comes_back_from_a_bucket(quick_dir: Path, s3: places.S3) -> None:
    url, endpoint = f"s3://{places.BUCKET}/litestream", f"http://127.0.0.1:{s3.port}"
    more = {"BTY_LITESTREAM_URL": url, "BTY_LITESTREAM_ENDPOINT": endpoint}
    environment = {"PATH": os.environ["PATH"], "HOME": str(quick_dir), **_KEYS}
    with appliance(quick_dir / "old", **more) as old, appliance(quick_dir / "new") as new:
        old.start()
        token = old.token()
        file = old.home / "litestream.yml"
        file.write_text(old.bty("litestream", "config").stdout)
        assert places.SECRET not in file.read_text()
        command = [str(PROGRAM), "replicate", "-no-expand-env", "-config", str(file)]
        with (old.home / "litestream.log").open("ab") as log:
            program = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            for number in range(40):
                path = f"/machines/52:54:00:00:02:{number:02x}"
                given = {"boot_mode": "ipxe-exit"}
                assert old.ask("PUT", path, given, token=token).status == 200
            old.ask("PUT", f"/machines/{MAC}", {"boot_mode": "bty-inventory"}, token=token)
            fresh(old)
        finally:
            old.stop(signal.SIGKILL)
            program.kill()
            program.wait()
        database = old.state / "state.db"
        restored = new.state / "state.db"
        new.state.mkdir(mode=0o700)
        restore = [str(PROGRAM), "restore", "-no-expand-env", "-config", str(file)]
        done = subprocess.run(
            [*restore, "-integrity-check", "quick", "-o", str(restored), str(database)],
            capture_output=True,
            text=True,
            env=environment,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr

        assert "sound" in new.bty("verify").stdout
        old.start()
        listed = old.bty("machine", "list", "--json").stdout
        old.stop()
        new.start()
        assert new.bty("machine", "list", "--json").stdout == listed
        assert new.ask("GET", f"/machines/{MAC}", token=token).json()["boot_mode"] == (
            "bty-inventory"
        )
