"""Processes that only benchmarks start."""
