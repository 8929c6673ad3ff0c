"""Measurements become the figures of the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from tests.bench.load import Outcome


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all values do not exceed; 0 of nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def latency(values: Sequence[float]) -> dict[str, float]:
    """p50, p99 and the worst, in milliseconds."""
    return {
        "p50_ms": round(percentile(values, 0.5) * 1000, 2),
        "p99_ms": round(percentile(values, 0.99) * 1000, 2),
        "max_ms": round(max(values, default=0.0) * 1000, 2),
    }


def load(outcomes: Sequence[Outcome], cpu_seconds: float) -> dict[str, object]:
    """Rate, latencies, errors and the server's processor time of one or more rounds."""
    answers = sum(outcome.answers for outcome in outcomes)
    elapsed = sum(outcome.elapsed for outcome in outcomes)
    values = [
        value for outcome in outcomes for step in outcome.latencies.values() for value in step
    ]
    errors: dict[str, int] = {}
    for outcome in outcomes:
        for what, count in outcome.errors.items():
            errors[what] = errors.get(what, 0) + count
    return {
        "answers": answers,
        "per_second": round(answers / elapsed, 1) if elapsed else 0.0,
        **latency(values),
        "errors": sum(errors.values()),
        "error_kinds": errors,
        "server_cpu_seconds_per_1000": round(cpu_seconds / answers * 1000, 3) if answers else 0.0,
    }


def middle(values: Sequence[float]) -> dict[str, object]:
    """The median of repeated runs, and each of them, in seconds."""
    return {
        "median_seconds": round(median(values), 3),
        "runs": [round(value, 3) for value in values],
    }
