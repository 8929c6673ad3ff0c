"""The benchmarks. Each gets the single file and an empty directory, and returns its figures."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bty_app import __version__
from tests.bench import figures, fleet, load, machines, programs, stored
from tests.bench.load import Conversation, Outcome, Step


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    machines: int = 1000
    connections: tuple[int, ...] = (16, 64)
    seconds: float = 3.0
    rounds: int = 3
    storm_connections: int = 64
    bundle_machines: int = 20_000
    starts: int = 5
    fleet_machines: int = 100_000


FULL = Sizes()
QUICK = Sizes(seconds=1.0, rounds=2, bundle_machines=2000, starts=3, fleet_machines=20_000)
TINY = Sizes(
    machines=8,
    connections=(2,),
    seconds=0.1,
    rounds=1,
    storm_connections=4,
    bundle_machines=8,
    starts=1,
    fleet_machines=60,
)

_HELLO = (Step("hello", load.request("GET", "/healthz"), holds=b"hello"),)


def pxe(pyz: Path, scratch: Path, sizes: Sizes) -> dict[str, object]:
    """Contacts of known machines, recorded and fsynced, beside a bare hello in turns."""
    count = sizes.machines
    state_dir = stored.prepare(pyz, scratch, ((n, n % 2 == 0) for n in range(count)))
    contacts = [
        (Step("contact", load.request("GET", f"/pxe/{machines.mac(n)}"), holds=b"#!ipxe"),)
        for n in range(count)
    ]
    found: dict[str, object] = {"machines": count, "load_generator": "tests.bench.load"}
    with programs.serve(pyz, state_dir) as server, programs.hello(pyz, scratch) as bare:
        stored.bind(server, range(0, count, 4))
        before = stored.last_event(server)
        answers = 0
        for connections in sizes.connections:
            ours, theirs = _in_turns(server, bare, contacts, connections, sizes)
            answers += int(str(ours["answers"]))
            found[f"connections_{connections}"] = {
                "contacts": ours,
                "hello": theirs,
                "ratio": _ratio(ours, theirs),
            }
        found["answers"] = answers
        # Reading the number takes a login, which is a row as well.
        found["audit_rows"] = stored.last_event(server) - before - 1
    return found


def _in_turns(
    server: programs.Server,
    bare: programs.Server,
    contacts: Sequence[Conversation],
    connections: int,
    sizes: Sizes,
) -> tuple[dict[str, object], dict[str, object]]:
    dice = random.Random(connections)  # noqa: S311 - the same order at every run
    turns: tuple[tuple[programs.Server, Sequence[Conversation]], ...] = (
        (server, contacts),
        (bare, (_HELLO,)),
    )
    outcomes: tuple[list[Outcome], list[Outcome]] = ([], [])
    spent = [0.0, 0.0]
    for _ in range(sizes.rounds):
        for place, (target, choices) in enumerate(turns):
            cpu = target.cpu_seconds()
            asked = _endless(dice, choices)
            outcome = load.drive(target.port, asked, connections=connections, seconds=sizes.seconds)
            spent[place] += target.cpu_seconds() - cpu
            outcomes[place].append(outcome)
    return figures.load(outcomes[0], spent[0]), figures.load(outcomes[1], spent[1])


def _endless(dice: random.Random, choices: Sequence[Conversation]) -> Iterator[Conversation]:
    while True:
        yield dice.choice(choices)


def _ratio(ours: dict[str, object], theirs: dict[str, object]) -> float:
    bare = float(str(theirs["per_second"]))
    return round(float(str(ours["per_second"])) / bare, 3) if bare else 0.0


def storm(pyz: Path, scratch: Path, sizes: Sizes) -> dict[str, object]:
    """A hall powers on: every other machine is unknown, the others are to be flashed."""
    count = sizes.machines
    state_dir = stored.prepare(pyz, scratch, ((n, True) for n in range(0, count, 2)))
    boot_dir = state_dir / "boot"
    boot_dir.mkdir(mode=0o700, exist_ok=True)
    kernel = f"bty-netboot-pc-x86_64-v{__version__}.vmlinuz"
    for name in (kernel, kernel.replace(".vmlinuz", ".initrd")):
        (boot_dir / name).write_bytes(b"kernel " * 2000)
    told = [_boot(n, f"/boot/{kernel}", flash=n % 2 == 0) for n in range(count)]
    with programs.serve(pyz, state_dir) as server:
        stored.bind(server, range(0, count, 2))
        cpu = server.cpu_seconds()
        outcome = load.drive(
            server.port, iter(told), connections=sizes.storm_connections, reconnect=True
        )
        cpu = server.cpu_seconds() - cpu
    return {
        "machines": count,
        "connections": sizes.storm_connections,
        "seconds": round(outcome.elapsed, 3),
        "overall": figures.load([outcome], cpu),
        "steps": {name: figures.latency(values) for name, values in outcome.latencies.items()},
    }


def _boot(number: int, kernel: str, *, flash: bool) -> Conversation:
    """The whole boot of one machine; the last contact must send it to its disk."""
    address = machines.mac(number)
    report = json.dumps({"disks": machines.disks(number), "lshw": machines.lshw(number)})
    plan = b'"flash"' if flash else b'"inventory"'
    done = b'{"status":"done"}'
    return (
        Step("contact", load.request("GET", f"/pxe/{address}"), holds=b"kernel"),
        Step("kernel", load.request("GET", f"{kernel}?mac={address}")),
        Step(
            "inventory",
            load.request("POST", f"/pxe/{address}/inventory", body=report.encode()),
            status=b"204",
        ),
        Step("plan", load.request("GET", f"/pxe/{address}/plan"), holds=plan),
        Step("done", load.request("POST", f"/pxe/{address}/status", body=done), status=b"204"),
        Step("next contact", load.request("GET", f"/pxe/{address}"), holds=b"sanboot"),
    )


def bundles(pyz: Path, scratch: Path, sizes: Sizes) -> dict[str, object]:
    """Import and export of many machines, by the commands."""
    count = sizes.bundle_machines
    size = machines.write_bundle(scratch / "given", ((n, True) for n in range(count)))
    state_dir = scratch / "state"
    told = programs.environment(state_dir)

    def measured(*words: str) -> dict[str, float]:
        return programs.run_watched([sys.executable, str(pyz), *words], told, scratch)

    found: dict[str, object] = {"machines": count, "bundle_mb": round(size / 1e6, 1)}
    found["import"] = measured("import", str(scratch / "given"))
    found["import_again"] = measured("import", str(scratch / "given"))
    found["export"] = measured("export", str(scratch / "made"))
    found["exported_mb"] = round((scratch / "made" / "inventory.json").stat().st_size / 1e6, 1)
    return found


def cold_start(pyz: Path, scratch: Path, sizes: Sizes) -> dict[str, object]:
    """From the start of the process to the first answer, and to the end of `--version`."""
    fresh: list[float] = []
    existing: list[float] = []
    version: list[float] = []
    for number in range(sizes.starts):
        state_dir = scratch / f"state-{number}"
        for kept in (fresh, existing):
            with programs.serve(pyz, state_dir) as server:
                kept.append(server.seconds_to_answer)
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, str(pyz), "--version"],
            env={},
            cwd=scratch,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        version.append(time.perf_counter() - began)
    return {
        "fresh": figures.middle(fresh),
        "existing": figures.middle(existing),
        "version": figures.middle(version),
    }


def pages(_pyz: Path, scratch: Path, sizes: Sizes) -> dict[str, object]:
    """The machines page and the dashboard over a large fleet, each answer made anew."""
    return fleet.report(sizes.fleet_machines, sizes.rounds, scratch)


BENCHMARKS: dict[str, Callable[[Path, Path, Sizes], dict[str, object]]] = {
    "pxe": pxe,
    "storm": storm,
    "bundles": bundles,
    "cold_start": cold_start,
    "pages": pages,
}
