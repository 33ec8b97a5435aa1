"""What Ferrotype is fast at, measured against real processes on loopback: `python -m benchmarks [name ...]`."""
