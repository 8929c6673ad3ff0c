"""`python -m tests.bench`: measure the single file, and print one JSON document.

Progress goes to stderr. The exit status says that everything was measured, never that it was
quick: figures are for reading.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tests.bench import programs
from tests.bench.suite import BENCHMARKS, FULL, QUICK, Sizes


def measure(
    names: Iterable[str], sizes: Sizes, pyz: Path | None, scratch: Path
) -> dict[str, object]:
    """The figures of these benchmarks; `scratch` is left as it was."""
    scratch.mkdir(parents=True, exist_ok=True)
    report: dict[str, object] = {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
    }
    with tempfile.TemporaryDirectory(dir=scratch) as made:
        place = Path(made).resolve()
        file = programs.build(place) if pyz is None else pyz.resolve()
        report["load_before"] = os.getloadavg()[0]
        for name in names:
            began = time.perf_counter()
            _say(f"{name} …")
            directory = place / name
            directory.mkdir()
            report[name] = BENCHMARKS[name](file, directory, sizes)
            shutil.rmtree(directory)
            _say(f"{name}: {time.perf_counter() - began:.1f} s")
        report["load_after"] = os.getloadavg()[0]
    return report


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=list(BENCHMARKS), help="this one; may be repeated"
    )
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--pyz", type=Path, help="measure this file; without it one is built")
    parser.add_argument(
        "--scratch",
        type=Path,
        default=programs.ROOT / "dist" / "bench",
        help="where state directories are made; on the disk that is to be measured (%(default)s)",
    )
    args = parser.parse_args()
    sizes = QUICK if args.quick else FULL
    report = measure(args.only or list(BENCHMARKS), sizes, args.pyz, args.scratch)
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
