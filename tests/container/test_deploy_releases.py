"""The seam of an upgrade on a deployment that another release made: forth, and back again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bty_app import __version__
from tests.container.conftest import OLD
from tests.container.lab import Host, programs_path
from tests.container.operator import at

pytestmark = pytest.mark.system

STEPS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from bty_app.deploy import opening, readiness, stack
found = opening.open_stack(Path(sys.argv[2]))
told = {}
for line in sys.argv[3].splitlines():
    name, _, code = line.partition(" = ")
    told[name] = eval(code)
told.pop("_", None)
print(json.dumps(told, default=str))
"""


def _steps(host: Host, pyz: Path, directory: Path, steps: str) -> dict[str, Any]:
    """What the stack says and does there, `NAME = expression` a line, by the program of `pyz`."""
    done = host.run(*programs_path(), sys.executable, "-c", STEPS, pyz, directory, steps)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_another_release_is_fetched_tried_installed_and_put_back(
    host: Host, pyz: Path, deployed: Path
) -> None:
    at(host, 8080)
    before = {path.name: path.read_text() for path in deployed.iterdir() if path.is_file()}

    looked = _steps(
        host,
        pyz,
        deployed,
        f"current = found.current().version\n"
        f"changes = found.changes({__version__!r})\n"
        f"new = found.fetch({__version__!r})\n"
        f"inside = found.run(found.current(), ['--version']).stdout\n"
        f"beside = found.run(told['new'], ['--version']).stdout\n"
        f"backup = found.run(found.current(), ['backup', '--json']).status\n"
        f"listed = found.run(told['new'], ['backups', 'list', '--json']).stdout\n"
        f"running = found.condition().running",
    )
    forth = _steps(
        host,
        pyz,
        deployed,
        f"new = found.fetch({__version__!r})\n"
        "_ = found.stop()\n"
        "stopped = not found.condition().running\n"
        "_ = found.install(told['new'])\n"
        "_ = found.install(told['new'])\n"
        "_ = found.start()\n"
        "_ = readiness.wait_until_ready(found, readiness.RealPace(), 180)\n"
        "current = found.current().version\n"
        "restarts = found.condition().restarts",
    )
    with_new = {path.name: path.read_text() for path in deployed.iterdir() if path.is_file()}
    served = at(host, 8080).ask("GET", "/version")["version"]
    back = _steps(
        host,
        pyz,
        deployed,
        f"old = found.at.images.release('localhost/bty:{OLD}')\n"
        "_ = found.stop()\n"
        "_ = found.install(told['old'])\n"
        "_ = found.start()\n"
        "_ = readiness.wait_until_ready(found, readiness.RealPace(), 180)\n"
        "current = found.current().version",
    )
    after = {path.name: path.read_text() for path in deployed.iterdir() if path.is_file()}

    assert looked["current"] == OLD
    assert "+    stop_grace_period: 30s" in looked["changes"]
    assert f"+# release: {__version__}" in looked["changes"]
    assert looked["inside"] == f"bty {OLD}\n"
    assert looked["beside"] == f"bty {__version__}\n"
    assert looked["backup"] == 0
    assert len(json.loads(looked["listed"])) == 1
    assert looked["running"]
    assert forth["stopped"]
    assert (forth["current"], served, forth["restarts"]) == (__version__, __version__, 0)
    assert with_new["envvars"] == before["envvars"]
    assert "stop_grace_period: 30s" in with_new["compose.yml"]
    assert back["current"] == OLD
    assert {name: text for name, text in after.items() if name != "compose.override.yml"} == {
        name: text for name, text in before.items() if name != "compose.override.yml"
    }
    assert at(host, 8080).ask("GET", "/version")["version"] == OLD


def test_a_deploy_of_another_release_leaves_what_runs(
    host: Host, pyz: Path, deployed: Path
) -> None:
    done = host.run(*programs_path(), sys.executable, pyz, "deploy", deployed, check=False)

    assert done.returncode == 75
    assert "bty upgrade" in done.stderr
    assert at(host, 8080).ask("GET", "/version")["version"] == OLD


def test_a_file_that_somebody_changed_stops_it_before_anything_does(
    host: Host, pyz: Path, deployed: Path
) -> None:
    compose = deployed / "compose.yml"
    compose.write_text(compose.read_text() + "# mine\n")
    steps = f"new = found.fetch({__version__!r})"

    done = host.run(
        *programs_path(), sys.executable, "-c", STEPS, pyz, deployed, steps, check=False
    )

    assert "ChangedFileError" in done.stderr
    assert "changed since" in done.stderr
    assert at(host, 8080).ask("GET", "/version")["version"] == OLD
