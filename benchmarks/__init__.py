"""How fast it is, measured on real processes on loopback: `python -m benchmarks [name ...]`."""
