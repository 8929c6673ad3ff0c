"""The crash laboratory in full: every fault at every system call of every scenario.

usage: python -m tests.crashlab [--stride N] [--fault FAULT] [--directory DIR] [PART OF A NAME ...]

Prints how many points were tried and what came of them; exits 1 when an invariant was violated.
Needs strace. The suite tries a spread sample (tests/crashlab/test_cuts.py).
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.crashlab import remote
from tests.crashlab.lab import FAULTS, TALKING_FAULTS, Lab, Tally
from tests.crashlab.scenarios import SCENARIOS


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.crashlab", description=__doc__)
    parser.add_argument("--stride", type=int, default=1, help="try every N-th point only")
    parser.add_argument(
        "--fault", action="append", choices=(*FAULTS, *TALKING_FAULTS[1:]), help="this one only"
    )
    parser.add_argument("--directory", default="/var/tmp", help="where to work")  # noqa: S108
    parser.add_argument("--places", action="store_true", help="copies to S3 and WebDAV instead")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    logging.disable()
    began, points, violations = time.monotonic(), 0, 0
    with ExitStack() as stack:
        known = stack.enter_context(remote.scenarios()) if args.places else SCENARIOS
        faults = args.fault or (TALKING_FAULTS if args.places else FAULTS)
        chosen = [s for s in known if not args.names or any(n in s.name for n in args.names)]
        place = stack.enter_context(TemporaryDirectory(dir=args.directory, prefix="crashlab-"))
        for number, scenario in enumerate(chosen):
            lab = Lab(scenario, Path(place) / str(number))
            for tally in _tallies(lab, faults, args.stride):
                sys.stdout.write(f"{tally.line()}\n")
                sys.stdout.writelines(f"    {text}\n" for text in tally.violations)
                sys.stdout.flush()
                points += tally.points
                violations += len(tally.violations)
    seconds = time.monotonic() - began
    sys.stdout.write(f"{points} points, {violations} violations, {seconds:.0f} s\n")
    return 1 if violations or not points else 0


def _tallies(lab: Lab, faults: Sequence[str], stride: int) -> Iterator[Tally]:
    yield lab.undisturbed()
    for fault in faults:
        yield lab.run(fault, stride=stride)


if __name__ == "__main__":
    sys.exit(main())
