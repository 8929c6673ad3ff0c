"""The command table, exit statuses, and what a failure looks like from outside."""

from __future__ import annotations

import argparse
import importlib
import os
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from bty_app import __version__, errors
from bty_app.cli import main as cli
from bty_app.cli import options
from bty_app.config import KEYS, Config

REPOSITORY = Path(__file__).parents[2]


def bty(
    *arguments: str,
    home: Path,
    environment: Mapping[str, str] | None = None,
    before: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run the program as its users do, with an environment of its own; `before` is a program that
    runs it.
    """
    return subprocess.run(
        [*before, sys.executable, "-m", "bty_app", *arguments],
        cwd=REPOSITORY,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "BTY_PATHS_STATE_DIR": str(home / "state"),
            **(environment or {}),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Probe(ModuleType):
    """A command that does what a test tells it to."""

    failure: BaseException | None = None
    status = 0
    seen: Config | None = None
    flags: argparse.Namespace | None = None

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--loud", action="store_true")
        options.add_config_flag(parser, "server.port")

    def run(self, args: argparse.Namespace, config: Config) -> int:
        self.seen, self.flags = config, args
        if self.failure is not None:
            raise self.failure
        return self.status


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Probe:
    for name in [name for name in os.environ if name.startswith("BTY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BTY_PATHS_STATE_DIR", str(tmp_path / "state"))
    command = Probe("bty_app.cli.probe")
    monkeypatch.setitem(sys.modules, command.__name__, command)
    monkeypatch.setattr(cli, "COMMANDS", {"probe": cli.Command(command.__name__, "probe")})
    return command


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (errors.InvalidInputError("x"), 65),
        (errors.NotFoundError("x"), 66),
        (errors.UnavailableError("x"), 69),
        (errors.StorageError("x"), 74),
        (errors.ConflictError("x"), 75),
        (errors.NotAuthenticatedError("x"), 77),
        (errors.ConfigError("x"), 78),
        (errors.TooLargeError("x"), 65),
        (errors.ThrottledError("x", retry_after=1), 1),
        (errors.BtyError("x"), 1),
        (KeyboardInterrupt(), 130),
        (SystemExit(3), 3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exit_statuses(probe: Probe, failure: BaseException, status: int) -> None:
    probe.failure = failure

    assert cli.main(["probe"]) == status


def test_what_the_command_returns_is_the_status(probe: Probe) -> None:
    probe.status = 1

    assert cli.main(["probe"]) == 1


def test_a_failure_is_one_line_on_stderr_whatever_it_says(
    probe: Probe, capsys: pytest.CaptureFixture[str]
) -> None:
    probe.failure = errors.NotFoundError("no machine a\nb\x1b[31m")

    cli.main(["probe"])

    out, err = capsys.readouterr()
    assert (out, err) == ("", "bty: no machine a\\u000ab\\u001b[31m\n")


def test_an_unexpected_failure_is_one_line_and_a_traceback_on_demand(
    probe: Probe, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    probe.failure = ZeroDivisionError("by zero")

    plain = cli.main(["probe"]), capsys.readouterr().err
    flagged = cli.main(["probe", "--debug"]), capsys.readouterr().err
    monkeypatch.setenv("BTY_DEBUG", "1")
    told = cli.main(["probe"]), capsys.readouterr().err

    assert plain[0] == flagged[0] == told[0] == 1
    assert plain[1].startswith("bty: unexpected failure: ZeroDivisionError: by zero")
    assert len(plain[1].splitlines()) == 1
    assert "Traceback" in flagged[1]
    assert "Traceback" in told[1]


def test_options_count_before_and_after_the_command(probe: Probe, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("[server]\nport = 1\nthreads = 1\n")
    (tmp_path / "b").write_text("[server]\nport = 2\n")

    status = cli.main(
        ["--config", str(tmp_path / "a"), "probe", "--loud", "--config", str(tmp_path / "b")]
    )

    assert status == 0
    assert probe.seen is not None
    assert (probe.seen.server.port, probe.seen.server.threads) == (2, 1)
    assert probe.seen.provenance["server.port"] == f"toml({tmp_path / 'b'})"
    assert probe.flags is not None
    assert probe.flags.loud


def test_flags_are_the_last_layer(
    probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BTY_SERVER_PORT", "5")

    cli.main(["--state-dir", str(tmp_path / "x"), "probe", "--port", "6"])

    assert probe.seen is not None
    assert probe.seen.server.port == 6
    assert probe.seen.provenance["server.port"] == "flag(--port)"
    assert probe.seen.paths.state_dir == tmp_path / "x"
    assert probe.seen.provenance["paths.state_dir"] == "flag(--state-dir)"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["probe", "--port", "99999"], "argument --port: '99999' must be a whole number"),
        (["probe", "--state-dir", ""], "must be a path"),
        (["probe", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["probe", "surplus"], "unrecognized arguments: surplus"),
        (["--nonsense", "probe"], "--nonsense"),
        (["prob"], "there is no command 'prob': did you mean 'probe'?"),
        (["--conf", "x", "probe"], "unrecognized arguments"),
    ],
)
def test_wrong_usage_is_2_and_says_what_is_wrong(
    probe: Probe, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    status = cli.main(arguments)

    out, err = capsys.readouterr()
    assert status == 2
    assert said in err
    assert out == ""
    assert probe.seen is None


def test_notes_of_the_configuration_go_to_stderr(
    probe: Probe, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BTY_STATE_DIR", "/elsewhere")

    cli.main(["probe", "--log-format", "text"])

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith('level=warning at=config note="BTY_STATE_DIR has no effect')


def test_bty_web_without_a_word_is_the_server(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "COMMANDS", {"serve": cli.Command(probe.__name__, "serve")})

    assert cli.main([], program="bty-web") == 0
    assert probe.seen is not None


def test_a_command_is_imported_only_when_it_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; from bty_app.cli import main;"
        "main.main(['show-config', '--json']);"
        "loaded = [c.module for c in main.COMMANDS.values() if c.module in sys.modules];"
        "assert loaded == ['bty_app.cli.show_config'], loaded;"
        "assert not {'falcon', 'waitress', 'apsw', 'jinja2'} & set(sys.modules)"
    )

    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_a_manual_with_examples(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    importlib.import_module(cli.COMMANDS[name].module)

    status = cli.main([name, "--help"])

    out, err = capsys.readouterr()
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: bty {name}")
    assert "examples:" in out
    assert f"bty {name}" in out.partition("examples:")[2]


def test_no_command_shows_the_help_and_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    status = cli.main([])

    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert all(f"  {name} " in err for name in cli.COMMANDS)


def test_flags_of_the_table_are_all_different() -> None:
    flags = [key.flag for key in KEYS if key.flag]

    assert len(flags) == len(set(flags))
    assert {"--port", "--host", "--state-dir", "--log-format"} <= set(flags)


def test_from_outside_the_version(tmp_path: Path) -> None:
    ran = bty("--version", home=tmp_path)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"bty {__version__}\n", "")


def test_from_outside_a_bad_configuration_is_78_and_one_line(tmp_path: Path) -> None:
    ran = bty("show-config", home=tmp_path, environment={"BTY_SERVER_PORT": "99999"})

    assert ran.returncode == 78
    assert ran.stdout == ""
    assert ran.stderr == "bty: BTY_SERVER_PORT = 99999: must be a whole number from 0 to 65535\n"


def test_from_outside_wrong_usage_is_2(tmp_path: Path) -> None:
    assert bty("nonsense", home=tmp_path).returncode == 2
    assert bty(home=tmp_path).returncode == 2


def test_from_outside_a_reader_that_leaves_is_no_noise(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    ran = subprocess.run(
        [sys.executable, "-m", "bty_app", "show-config"],
        cwd=REPOSITORY,
        env={"HOME": str(tmp_path)},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )

    os.close(writing)
    assert (ran.returncode, ran.stderr) == (1, "")


def test_what_commands_create_is_private(probe: Probe, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        cli.main(["probe"])
        (tmp_path / "made").touch()
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["--server", "http://h", "--mac", "m"], "flash"),
        (["--mac=m", "--server=http://h", "--catalog", "c"], "flash"),
        (["--debug", "--server", "h"], "flash"),
        (["--catalog", "c.toml"], "wizard"),
        (["flash", "--server", "h"], None),
        (["wizard", "--catalog", "c"], None),
        (["--debug", "serve"], None),
        (["--version"], None),
        ([], None),
    ],
)
def test_the_form_of_the_original_needs_no_command(given: list[str], meant: str | None) -> None:
    assert cli._with_command(given) == ([meant, *given] if meant else given)


def test_the_form_of_the_original_does_what_flash_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--server", "http://127.0.0.1:9", "--mac", "no mac"]) == 65
    bare = capsys.readouterr().err
    assert cli.main(["flash", "--server", "http://127.0.0.1:9", "--mac", "no mac"]) == 65

    assert bare == capsys.readouterr().err
    assert "no mac" in bare
