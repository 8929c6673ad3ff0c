"""Each benchmark measures something, and without an error; how quick it is does not matter here."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.bench import backup, flash, load, unchanged
from tests.bench.__main__ import measure
from tests.bench.figures import percentile
from tests.bench.load import Step
from tests.bench.suite import BENCHMARKS, TINY

_LOAD = {
    *("answers", "per_second", "p50_ms", "p99_ms", "max_ms", "errors", "error_kinds"),
    "server_cpu_seconds_per_1000",
}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def report(scratch: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(measure(BENCHMARKS, TINY, None, scratch)))
    return found


def test_contacts_are_measured_beside_a_hello(report: dict[str, Any]) -> None:
    turns = report["pxe"]["connections_2"]

    assert turns.keys() == {"contacts", "hello", "ratio"}
    assert turns["contacts"].keys() == turns["hello"].keys() == _LOAD
    assert turns["contacts"]["errors"] == turns["hello"]["errors"] == 0
    assert turns["ratio"] > 0


def test_each_contact_measured_has_its_audit_row(report: dict[str, Any]) -> None:
    assert report["pxe"]["answers"] > 0
    assert report["pxe"]["audit_rows"] == report["pxe"]["answers"]


def test_the_storm_takes_each_machine_through_all_steps(report: dict[str, Any]) -> None:
    storm = report["storm"]

    assert storm["overall"]["error_kinds"] == {}
    assert storm["overall"]["answers"] == TINY.machines * 6
    assert list(storm["steps"]) == [
        *("contact", "kernel", "inventory", "plan", "done", "next contact"),
    ]


def test_bundles_and_starts_are_measured(report: dict[str, Any]) -> None:
    for act in ("import", "import_again", "export"):
        assert report["bundles"][act].keys() == {"seconds", "cpu_seconds", "peak_rss_mb"}
        assert report["bundles"][act]["peak_rss_mb"] > 5
    for start in ("fresh", "existing", "version"):
        assert report["cold_start"][start]["median_seconds"] > 0


def test_the_pages_of_a_fleet_are_measured(report: dict[str, Any]) -> None:
    assert report["pages"]["machines"] == TINY.fleet_machines
    assert {"first", "in_fault", "dashboard"} <= report["pages"]["views"].keys()
    for view in report["pages"]["views"].values():
        assert view["max_ms"] >= view["middle_ms"] > 0


def test_a_flash_is_measured_beside_the_pipe(scratch: Path) -> None:
    report: Any = json.loads(json.dumps(flash.measure(flash.TINY, scratch)))

    for name in flash.PACKED:
        assert report["sparse"][name]["times_as_fast"] > 0
    for name in flash.TINY.dense_formats:
        assert report["dense"][name]["times_as_fast"] > 0


def test_nothing_stays_in_the_scratch_directory(report: dict[str, Any], scratch: Path) -> None:
    assert report
    assert list(scratch.iterdir()) == []


@contextmanager
def _answering(answer: bytes) -> Iterator[int]:
    """A port where each connection gets `answer`, and is then closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                while True:
                    client, _address = listener.accept()
                    with client:
                        client.recv(4096)
                        client.sendall(answer)
            except OSError:  # the listener is shut down
                return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "step: status 503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nelse", "step: another answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\nhell", "cut off"),
        (b"", "cut off"),
    ],
)
def test_a_wrong_answer_is_an_error(answer: bytes, error: str) -> None:
    step = Step("step", load.request("GET", "/"), holds=b"hello")

    with _answering(answer) as port:
        outcome = load.drive(port, iter([(step,)] * 3), connections=1)

    assert outcome.errors == {error: 3}
    assert outcome.answers == 0


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(1, 101)]

    assert percentile(values, 0.5) == 50.0
    assert percentile(values, 0.99) == 99.0
    assert percentile([7.0], 0.99) == 7.0
    assert percentile([], 0.5) == 0.0


def test_what_it_costs_to_find_that_nothing_changed_is_measured(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "MACHINES", 1000)
    monkeypatch.setattr(unchanged, "MACHINES", 1000)
    monkeypatch.setattr(unchanged, "QUIET_SECONDS", 0.2)
    (scratch / "unchanged").mkdir()

    found = unchanged.measure(scratch / "unchanged", 0, 100, 50)

    assert found["said_the_same"] == [True, True, False]
    assert all(float(str(found[f"{name}_seconds"])) > 0 for name in ("backup", "compared"))
