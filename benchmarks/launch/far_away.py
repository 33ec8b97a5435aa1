"""A server as if it were far away: `python -m benchmarks.launch.far_away PORT TARGET SECONDS` passes
connections on to the port TARGET, and every byte of an answer SECONDS later."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

PORT, TARGET = int(sys.argv[1]), int(sys.argv[2])
SECONDS = float(sys.argv[3])
PIECE = 256 * 1024


async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    there, back = await asyncio.open_connection("127.0.0.1", TARGET)
    on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    async def ask() -> None:
        while data := await reader.read(PIECE):
            back.write(data)
            await back.drain()

    async def hear() -> None:
        while data := await there.read(PIECE):
            on_the_way.put_nowait((loop.time() + SECONDS, data))

    async def answer() -> None:
        while True:
            due, data = await on_the_way.get()
            await asyncio.sleep(due - loop.time())
            writer.write(data)
            await writer.drain()

    tasks = [asyncio.create_task(each()) for each in (ask, hear, answer)]
    with suppress(OSError):
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    writer.transport.abort()
    back.transport.abort()


async def main() -> None:
    server = await asyncio.start_server(connected, "127.0.0.1", PORT)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
