"""A worker process: makes one picture at a time, and ends with the server.

`python -m ferrotype.providers.local.worker THREADS MEMORY`; frames.py tells what goes through its pipes.
It is nicer than the server, may use MEMORY bytes, is the first to go when the machine has no memory left,
and ends as soon as its standard input does, also in the middle of a picture: the server has died then. A
SIGINT or SIGTERM that it gets together with the server leaves it alone: the server may let its work end.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from ferrotype.domain.problems import Problem, ProviderFailed, ProviderRejected
from ferrotype.providers.local.frames import pack, read

NICE: Final = 10
MIB: Final = 1024 * 1024
#: Address space beyond MEMORY for what is mapped later: the code of the runtimes, and what is never touched,
#: such as most of the stack that each thread of each runtime has.
SLACK: Final = 256 * MIB
STACKS: Final = 2 * 16 * MIB

#: How libvips and onnxruntime say that they got no memory.
NO_MEMORY: Final = ("out of memory", "bad_alloc", "bad allocation", "Failed to allocate")

Orders = queue.SimpleQueue[tuple[dict[str, Any], list[bytes]]]


def main(threads: int, memory: int) -> None:
    """Serve until the standard input ends."""
    # Native libraries print to descriptor 1 as they like: the frames have one of their own.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C; a service manager that tells the whole group
        signal.signal(number, signal.SIG_IGN)
    _yield_to_others()
    orders: Orders = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, orders), daemon=True).start()
    from ferrotype.providers.local.making import make

    def tell(fraction: float) -> None:
        _send(out, {"tell": "progress", "fraction": fraction})

    def serve(order: dict[str, Any], pictures: list[bytes]) -> None:
        try:
            made, body = make(order, pictures, threads, tell)
        except ProviderRejected as problem:
            _send(out, {"tell": "problem", "problem": problem.to_json()})
        except Exception as error:
            _send(out, {"tell": "problem", "problem": _problem(error).to_json()})
            raise  # its words for the log; the server starts another
        else:
            _send(out, {"tell": "made", **made}, [body])

    _bound_memory(memory + threads * STACKS)
    while True:
        serve(*orders.get())


def _problem(error: Exception) -> Problem:
    text = str(error).strip() or type(error).__name__
    if isinstance(error, MemoryError) or any(sign in text for sign in NO_MEMORY):
        return ProviderFailed("The picture needs more memory than a worker may use.")
    if isinstance(error, ImportError | OSError):
        return ProviderFailed(f"The model cannot be loaded: {text}")
    return ProviderFailed(f"The model failed: {text}")


def _listen(stream: BinaryIO, orders: Orders) -> None:
    """Take orders in; where there is nobody any more to give them, end at once."""
    try:
        while (message := read(stream)) is not None:
            orders.put(message)
    finally:
        os._exit(0)


def _send(out: BinaryIO, message: dict[str, Any], bodies: list[bytes] | None = None) -> None:
    for piece in pack(message, bodies):
        out.write(piece)
    out.flush()


def _yield_to_others() -> None:
    with suppress(OSError, AttributeError):
        os.nice(NICE)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _bound_memory(memory: int) -> None:
    """`memory` bytes beyond what is mapped now (code, mostly). Only Linux both tells and bounds that."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return
    limit = pages * os.sysconf("SC_PAGE_SIZE") + SLACK + memory
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard >= 0:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
