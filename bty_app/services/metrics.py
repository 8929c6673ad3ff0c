"""Counts for `/metrics`, in Prometheus' text format."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

# Name, help, labels, value.
Sample = tuple[str, str, Mapping[str, str], float]
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """Requests by route and status, and how long they took. Shared between threads."""

    def __init__(
        self,
        gauges: Callable[[], Iterable[Sample]] = tuple,
        counters: Callable[[], Iterable[Sample]] = tuple,
    ) -> None:
        """What others have, which wait for nothing, grouped by name."""
        self._gauges = gauges
        self._counters = counters
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._buckets: Counter[tuple[str, float]] = Counter()
        self._seconds: Counter[str] = Counter()  # sums; Counter adds floats as well

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        bucket = next((limit for limit in BUCKETS if seconds <= limit), float("inf"))
        with self._lock:
            self._requests[route, method, status] += 1
            self._buckets[route, bucket] += 1
            self._seconds[route] += seconds  # type: ignore[assignment]  # a sum of floats

    def text(self, gauges: Iterable[Sample]) -> str:
        """All of it; `gauges` are grouped by name."""
        with self._lock:
            requests, buckets = dict(self._requests), dict(self._buckets)
            seconds = dict(self._seconds)
        lines = [
            *_sample_lines([*gauges, *self._gauges()], "gauge"),
            *_sample_lines(self._counters(), "counter"),
        ]
        lines += ["# HELP bty_http_requests_total Requests answered."]
        lines += ["# TYPE bty_http_requests_total counter"]
        for (route, method, status), count in sorted(requests.items()):
            labels = _labels({"route": route, "method": method, "status": str(status)})
            lines.append(f"bty_http_requests_total{labels} {count}")
        lines += ["# HELP bty_http_request_seconds How long requests took."]
        lines += ["# TYPE bty_http_request_seconds histogram"]
        for route in sorted(seconds):
            lines += _histogram_lines(route, buckets, seconds[route])
        return "\n".join([*lines, ""])


def _sample_lines(samples: Iterable[Sample], kind: str) -> Iterable[str]:
    told: set[str] = set()
    for name, about, labels, value in samples:
        if name not in told:
            told.add(name)
            yield f"# HELP {name} {about}"
            yield f"# TYPE {name} {kind}"
        yield f"{name}{_labels(labels)} {value:.15g}"


def _histogram_lines(
    route: str, buckets: Mapping[tuple[str, float], int], total: float
) -> list[str]:
    lines, so_far = [], 0
    for limit in (*BUCKETS, float("inf")):
        so_far += buckets.get((route, limit), 0)
        shown = "+Inf" if limit == float("inf") else f"{limit:g}"
        labels = _labels({"route": route, "le": shown})
        lines.append(f"bty_http_request_seconds_bucket{labels} {so_far}")
    labels = _labels({"route": route})
    lines.append(f"bty_http_request_seconds_sum{labels} {total:.6f}")
    lines.append(f"bty_http_request_seconds_count{labels} {so_far}")
    return lines


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    escaped = {
        key: value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        for key, value in labels.items()
    }
    return "{" + ",".join(f'{key}="{value}"' for key, value in escaped.items()) + "}"
