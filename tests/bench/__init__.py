"""Benchmarks of the single file: `python -m tests.bench` prints one JSON document."""
