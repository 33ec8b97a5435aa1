"""Delivery beside its peers.

`hits`, `levels`, `cold`, `crowd` and `soak` are the benchmarks. `race` runs servers in turn and compares
them, `wrk` and `asking` make load, `usage` reads what a process used, `parts` starts servers, `peers`
installs those that are not in Debian (from `locks/`, into `.peers/`), `pictures` makes sources; `launch/` has
the applications that a benchmark starts.
"""
