"""Worker processes: one picture at a time, and nothing that happens to one outlives it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from ferrotype.domain.problems import (
    ProviderFailed,
    ProviderInterrupted,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from ferrotype.providers.base import (
    AttemptRequest,
    Finished,
    Output,
    Progress,
    Queued,
    Started,
    WatchEvent,
)
from ferrotype.providers.local import LocalProvider, LocalSettings
from ferrotype.providers.local.process import Made, Worker
from ferrotype.providers.local.workers import Workers
from tests.providers.contract.rig import call
from tests.providers.local_support import Watched, drawn, local, order, pixels, png

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def small() -> AttemptRequest:
    return order("upscale-photo", png(drawn(24, 20)), params={"scale": 2})


def long() -> AttemptRequest:
    """So many tiles that it is still under way when anything is done about it."""
    return order("upscale-photo", png(drawn(256, 256).resize(5)), params={"scale": 2}, format="jpeg")


def pid_of(provider: LocalProvider) -> int:
    (pid,) = provider._models.workers.pids
    return pid


async def begun(watching: Any) -> None:
    """Returns when the worker has begun."""
    async for event in watching:
        if isinstance(event, Progress):
            return
    raise AssertionError("it ended before it was begun")


async def test_one_picture_after_the_other_in_one_process() -> None:
    async with local() as provider:
        first = await call(provider, small())
        pid = pid_of(provider)
        second = await call(provider, small())
        assert pid_of(provider) == pid
        assert first.outputs[0].data == second.outputs[0].data
        process = Watched(pid)
    assert process.ended(0)


async def test_canceling_ends_the_process_and_the_next_call_gets_another() -> None:
    async with local() as provider:
        request = long()
        request_id = await provider.submit(request)
        async with aclosing(provider.watch(request, request_id)) as watching:  # type: ignore[type-var]
            await begun(watching)
            process = Watched(pid_of(provider))
            await provider.cancel(request, request_id)
            with pytest.raises(ProviderInterrupted):
                async for _ in watching:
                    pass
        assert await asyncio.to_thread(process.ended)
        assert pixels((await call(provider, small())).outputs[0].data).shape == (40, 48, 3)
        assert pid_of(provider) != process.pid


async def test_closing_the_watch_ends_the_work() -> None:
    async with local() as provider:
        request = long()
        async with aclosing(provider.watch(request, request.attempt_id)) as watching:  # type: ignore[type-var]
            await begun(watching)
            process = Watched(pid_of(provider))
        assert await asyncio.to_thread(process.ended)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
async def test_a_worker_that_dies_fails_its_own_picture_only(how: signal.Signals) -> None:
    async with local() as provider:
        request = long()
        async with aclosing(provider.watch(request, request.attempt_id)) as watching:  # type: ignore[type-var]
            await begun(watching)
            os.kill(pid_of(provider), how)
            with pytest.raises(ProviderFailed, match=how.name):
                async for _ in watching:
                    pass
        assert (await call(provider, small())).outputs


async def test_a_worker_that_dies_while_it_has_nothing_to_do_is_replaced() -> None:
    async with local() as provider:
        await call(provider, small())
        process = Watched(pid_of(provider))
        os.kill(process.pid, signal.SIGKILL)
        assert await asyncio.to_thread(process.ended)
        while provider._models.workers.pids:  # noqa: ASYNC110  # the loop hears of it within a few turns
            await asyncio.sleep(0)
        assert (await call(provider, small())).outputs


@linux
async def test_one_that_asks_for_more_memory_than_it_may_have() -> None:
    """Past every check: the bound itself holds, and it takes nothing else with it."""
    workers = Workers(LocalSettings(local_memory_bytes=1))
    told: list[float] = []

    def run(side: int) -> Any:
        wish = {
            "target": "restyle",
            "params": {"style": "wave"},
            "width": side,
            "height": side,
            "format": "png",
        }
        return workers.run(wish, [png(drawn(32, 32))], 60, lambda: None, told.append)

    with pytest.raises(ProviderFailed, match="more memory"):
        await run(2048)
    made: Made = await run(64)
    assert (made.width, made.height) == (64, 64)
    await workers.close()


async def test_a_picture_that_cannot_be_read_leaves_the_worker_alive() -> None:
    async with local() as provider:
        await call(provider, small())
        pid = pid_of(provider)
        torn = png(drawn(64, 64))[:900]  # its header is whole
        with pytest.raises(ProviderRejected, match="damaged or cut short"):
            await call(provider, order("upscale-photo", torn, params={"scale": 2}))
        assert pid_of(provider) == pid
        assert (await call(provider, small())).outputs
        assert pid_of(provider) == pid


async def test_too_long_is_a_time_out_that_ends_the_process() -> None:
    async with local() as provider:
        with pytest.raises(ProviderTimeout):
            await call(
                provider, order("upscale-photo", png(drawn(24, 20)), params={"scale": 2}, timeout=0.001)
            )
        assert (await call(provider, small())).outputs


async def test_a_worker_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    async with local() as provider:
        await call(provider, small())
        process = Watched(pid_of(provider))
        os.kill(process.pid, signal.SIGSTOP)
        monkeypatch.setattr("ferrotype.providers.local.process.SILENCE", 0.01)
        with pytest.raises(ProviderTimeout, match="not said a word"):
            await call(provider, small())
        assert await asyncio.to_thread(process.ended)
        monkeypatch.undo()
        assert (await call(provider, small())).outputs


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_signals_to_the_whole_group_let_the_work_end(how: signal.Signals) -> None:
    """A service manager and Ctrl-C tell every process; what is under way may still be drained."""
    async with local() as provider:
        request = order("upscale-photo", png(drawn(96, 80)), params={"scale": 2})
        async with aclosing(provider.watch(request, request.attempt_id)) as watching:  # type: ignore[type-var]
            await begun(watching)
            os.kill(pid_of(provider), how)
            assert [event async for event in watching if isinstance(event, Output)]


@pytest.mark.parametrize(
    ("says", "problem"),
    [
        ("print('{' * 70000)", "nonsense"),
        ("print('no json')", "nonsense"),
        ("print('[]')", "nonsense"),
        ("""print('{"tell": "made", "bodies": []}')""", "nonsense"),
        ("""print('{"tell": "made", "bodies": [-1]}')""", "nonsense"),
        ("""print('{"tell": "made", "bodies": [9]}\\n1234'); sys.exit()""", "code 0"),
        ("sys.exit(3)", "code 3"),
        ("os.close(1); os.close(2)", "SIGKILL"),
    ],
)
async def test_a_worker_that_answers_wrongly(
    says: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferrotype.providers.local.process.LAST_BREATH", 0.01)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"import os, sys\nsys.stdin.buffer.readline()\n{says}\nsys.stdout.flush()\nsys.stdin.buffer.read()",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    worker = Worker(process)
    with pytest.raises(ProviderFailed, match=problem):
        await worker.run({}, [], lambda _: None)
    worker.kill()
    await worker.ended()


async def to_the_end(following: asyncio.Future[WatchEvent], watching: Any) -> None:
    await following
    async for _ in watching:
        pass


def children() -> set[str]:
    """Processes that this one started, and has not seen the end of."""
    tasks = Path("/proc/self/task").iterdir()
    return {pid for task in tasks for pid in (task / "children").read_text().split()}


@linux
@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 10, 50, 200, None])
async def test_closing_at_any_moment_leaves_no_process(turns: int | None) -> None:
    """Before the work begins, while the process is started, while it works (None)."""
    others = children()
    async with local() as provider:
        request = long()
        async with aclosing(provider.watch(request, request.attempt_id)) as watching:  # type: ignore[type-var]
            if turns is None:
                await begun(watching)
            following = asyncio.ensure_future(anext(watching))
            for _ in range(turns or 0):
                await asyncio.sleep(0)
            await provider.close()
            assert children() == others
            with pytest.raises((ProviderInterrupted, ProviderUnavailable)):
                await to_the_end(following, watching)
    assert children() == others


async def test_an_idle_worker_ends() -> None:
    async with local(local_idle_seconds=0.0) as provider:
        request = small()
        async with aclosing(provider.watch(request, request.attempt_id)) as watching:  # type: ignore[type-var]
            await begun(watching)
            process = Watched(pid_of(provider))
            assert [event async for event in watching if isinstance(event, Finished)]
        assert await asyncio.to_thread(process.ended)
        assert (await call(provider, small())).outputs


async def test_they_wait_in_line() -> None:
    async with local() as provider:
        first, second, third = long(), small(), small()
        async with aclosing(provider.watch(first, first.attempt_id)) as running:  # type: ignore[type-var]
            await begun(running)
            lines = []
            for place, request in enumerate((second, third), 1):
                lines.append(asyncio.create_task(collect(provider, request)))
                while provider._models.workers.position == place:  # noqa: ASYNC110
                    await asyncio.sleep(0)
            await provider.cancel(second, second.attempt_id)
            with pytest.raises(ProviderInterrupted):
                await lines[0]
            await provider.cancel(first, first.attempt_id)
            with pytest.raises(ProviderInterrupted):
                async for _ in running:
                    pass
        events = await lines[1]
        assert isinstance(events[0], Queued)
        assert events[0].position == 2
        assert isinstance(events[1], Started)
        assert isinstance(events[-1], Finished)


async def test_several_workers_are_at_work_at_once() -> None:
    async with local(local_workers=2) as provider:
        requests = [long(), long()]
        both = [provider.watch(request, request.attempt_id) for request in requests]
        for watching in both:
            await begun(watching)
        assert len(provider._models.workers.pids) == 2
        for watching in both:
            await watching.aclose()  # type: ignore[attr-defined]


@linux
async def test_a_worker_is_nice_and_knows_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_secret")
    worker = await Worker.start(1, 1 << 30)
    wish = {"target": "upscale-photo", "params": {"scale": 2}, "width": 1, "height": 1, "format": "png"}
    await worker.run(wish, [png(drawn(24, 20))], lambda _: None)
    folder = Path(f"/proc/{worker.pid}")
    assert b"r8_secret" not in (folder / "environ").read_bytes()
    assert int((folder / "stat").read_text().rsplit(")", 1)[1].split()[16]) == 10
    assert (folder / "oom_score_adj").read_text().strip() == "1000"
    (space,) = re.findall(r"Max address space +(\w+) +(\w+)", (folder / "limits").read_text())
    assert space[0] == space[1] != "unlimited"
    worker.retire()
    assert await worker.ended() == 0


SERVER = """
import asyncio, sys
from ferrotype.providers.local.settings import LocalSettings
from ferrotype.providers.local.workers import Workers

async def main():
    workers = Workers(LocalSettings())
    wish = {"target": "upscale-photo", "params": {"scale": 2}, "width": 1, "height": 1, "format": "png"}
    tell = lambda _: print(*workers.pids, flush=True)
    await workers.run(wish, [open(sys.argv[1], "rb").read()], 60, lambda: None, tell)

asyncio.run(main())
"""


@linux
def test_workers_end_with_a_server_that_is_killed(tmp_path: Path) -> None:
    picture = tmp_path / "large.png"
    drawn(256, 256).resize(5).pngsave(str(picture))
    command = [sys.executable, "-c", SERVER, str(picture)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        worker = Watched(int(server.stdout.readline()))
        assert not worker.ended(0)
        server.kill()
        assert worker.ended()


async def collect(provider: LocalProvider, request: AttemptRequest) -> list[WatchEvent]:
    async with aclosing(provider.watch(request, request.attempt_id)) as watching:  # type: ignore[type-var]
        return [event async for event in watching if not isinstance(event, Progress | Output)]
