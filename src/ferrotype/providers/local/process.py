"""One worker process, seen from the server."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog

from ferrotype.domain.problems import Problem, ProviderFailed, ProviderTimeout, from_json
from ferrotype.providers.local.frames import pack, receive

#: What a worker gets of our environment. It decodes pictures of strangers: keys are none of its business.
PASSED_ON: Final = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "PYTHONHOME",
    "PYTHONPATH",
    "SYSTEMROOT",
    "TMPDIR",
    "VIRTUAL_ENV",
)
#: Seconds without a word after which a worker hangs: a tile, or the encoding of the largest picture, takes a
#: fraction of it on the slowest machines.
SILENCE: Final = 300.0
#: Seconds that one which closed its pipes has to end.
LAST_BREATH: Final = 2.0
#: Lines of its standard error that are kept for the log.
LAST_WORDS: Final = 20

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """A finished picture."""

    data: bytes
    content_type: str
    width: int
    height: int


class Worker:
    """A process that makes one picture after another. After any exception of `run` but ProviderRejected it is
    of no more use."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout
        self._words: deque[str] = deque(maxlen=LAST_WORDS)
        self._listening = asyncio.create_task(self._listen(), name="words of a worker")

    @classmethod
    async def start(cls, threads: int, memory: int) -> Worker:
        """A fresh one, which loads while its first order is on the way. Raises ProviderFailed."""
        environ = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        # Threads beyond ours and an arena for each would only take address space, which is bounded.
        environ |= {
            "OMP_NUM_THREADS": str(threads),
            "OMP_WAIT_POLICY": "PASSIVE",
            "OPENBLAS_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "2",
        }
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "ferrotype.providers.local.worker",
                str(threads),
                str(memory),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environ,
                start_new_session=True,
            )
        except OSError as error:
            raise ProviderFailed(f"No worker could be started: {error.strerror}.") from None
        return cls(process)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can be given work."""
        return self._process.returncode is None and not self._stdout.at_eof()

    async def run(
        self, order: dict[str, Any], pictures: list[bytes], on_progress: Callable[[float], None]
    ) -> Made:
        """Have one picture made.

        Raises the worker's problem, ProviderFailed when it dies of it, and ProviderTimeout when it hangs.
        When this is cancelled the worker works on, and has to be killed.
        """
        try:
            async with asyncio.timeout(SILENCE):
                for piece in pack(order, pictures):
                    self._stdin.write(piece)
                    await self._stdin.drain()
            while True:
                async with asyncio.timeout(SILENCE):
                    message, bodies = await receive(self._stdout)
                if message["tell"] == "progress":
                    on_progress(float(message["fraction"]))
                elif message["tell"] == "made":
                    return Made(bodies[0], message["content_type"], message["width"], message["height"])
                else:
                    raise from_json(message["problem"])
        except TimeoutError:
            raise ProviderTimeout(f"The worker has not said a word for {SILENCE:g} s.") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise await self._death() from None
        except (asyncio.LimitOverrunError, ValueError, LookupError, TypeError):
            raise ProviderFailed("The worker talks nonsense.") from None

    def kill(self) -> None:
        """End it now, whatever it does."""
        with suppress(ProcessLookupError):
            self._process.kill()

    def retire(self) -> None:
        """Let it end: it does when its standard input ends."""
        self._stdin.close()

    async def ended(self) -> int:
        """Its exit code, once it has ended; a signal counts negative."""
        code = await self._process.wait()
        await self._listening
        return code

    async def _death(self) -> Problem:
        # It ends by itself, which tells more, if it has not only closed its pipes.
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_BREATH):
                await self._process.wait()
        self.kill()
        code = await self.ended()
        log.warning("a local worker died", code=code, words=list(self._words))
        if code < 0:
            name = signal.Signals(-code).name
            return ProviderFailed(f"The worker ended by {name} (perhaps it needed too much memory).")
        return ProviderFailed(f"The worker ended with code {code}.")

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        while chunk := await self._process.stderr.read(4096):
            self._words.extend(chunk.decode(errors="replace").splitlines())
