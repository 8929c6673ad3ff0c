"""Nothing is written outside the state directory: strace lists every call that could."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pyz import strace, tools
from tests.pyz.serving import MAC, environment, free_port, serving

pytestmark = pytest.mark.system


def _traced(output: Path) -> list[str]:
    return [tools.need("strace"), *strace.options(output), *tools.BARE]


def test_strace_sees_a_write_outside(tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere"
    program = f"import os; os.close(os.open({str(outside)!r}, os.O_CREAT | os.O_WRONLY))"

    tools.run(*_traced(tmp_path / "trace"), "-c", program)

    found = strace.changes(tmp_path / "trace", directory=str(tmp_path))
    assert [change.path for change in found] == [str(outside)]


def test_a_contact_a_login_and_an_export_write_in_the_state_directory_alone(
    host_pyz: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    told = environment(str(state), free_port())
    program = [str(host_pyz)]

    with serving([*_traced(tmp_path / "trace"), *program, "serve"], told, tmp_path) as server:
        server.get(f"/pxe/{MAC}")
        assert MAC in server.log_in()
        out = str(state / "out")
        done = tools.run(*_traced(tmp_path / "export"), *program, "export", out, **told)

    assert done.returncode == 0, done.stderr
    found = [
        change
        for name in ("trace", "export")
        for change in strace.changes(tmp_path / name, directory=str(tmp_path))
    ]
    assert any(change.path == str(state / "state.db") for change in found)
    assert strace.outside(found, state_dir=state) == []
