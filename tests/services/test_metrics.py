"""Counts for `/metrics`, in Prometheus' text format."""

from __future__ import annotations

import pytest

from bty_app.services.metrics import BUCKETS, Metrics


def sample(text: str, start: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith(start)]
    return line.rpartition(" ")[2]


def test_a_histogram_is_cumulative_and_ends_in_its_count() -> None:
    metrics = Metrics()
    for seconds in (0.001, 0.005, 0.0051, 3.0, 99.0):
        metrics.observe("/x", "GET", 200, seconds)

    text = metrics.text([])

    start = 'bty_http_request_seconds_bucket{route="/x",le='
    counts = [int(sample(text, f'{start}"{limit:g}"')) for limit in BUCKETS]
    assert counts == [2, 3, 3, 3, 3, 3, 3, 3, 3, 4]
    assert sample(text, f'{start}"+Inf"') == "5"
    assert sample(text, 'bty_http_request_seconds_count{route="/x"}') == "5"
    total = float(sample(text, 'bty_http_request_seconds_sum{route="/x"}'))
    assert total == pytest.approx(102.0111)


def test_requests_are_counted_by_route_method_and_status() -> None:
    metrics = Metrics()
    for status in (200, 200, 404):
        metrics.observe("/x", "GET", status, 0)
    metrics.observe("/x", "PUT", 200, 0)

    text = metrics.text([])

    start = 'bty_http_requests_total{route="/x",method='
    assert sample(text, f'{start}"GET",status="200"}}') == "2"
    assert sample(text, f'{start}"GET",status="404"}}') == "1"
    assert sample(text, f'{start}"PUT",status="200"}}') == "1"


def test_gauges_of_one_name_are_described_once_and_their_labels_are_escaped() -> None:
    gauges = [("g", "About g.", {"a": 'x"y\\z\n'}, 1.0), ("g", "About g.", {"a": "b"}, 2.5)]

    lines = Metrics().text(gauges).splitlines()

    assert lines[:4] == [
        "# HELP g About g.",
        "# TYPE g gauge",
        'g{a="x\\"y\\\\z\\n"} 1',
        'g{a="b"} 2.5',
    ]
