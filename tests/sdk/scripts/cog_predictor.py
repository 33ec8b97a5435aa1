"""A predictor without weights, for the real Cog servers: it paints one colour.

It runs inside the server (cog 0.23 and 0.16), which finds it as `predict.py`. `gate` names a file that it
waits for, so that tests and not the clock say how long it runs. Every run is a line in the file $RUNS.
"""

import os
import struct
import time
import zlib
from pathlib import Path as File
from typing import List, Optional  # noqa: UP035  cog 0.16 and 0.23 both read these

from cog import BasePredictor, Input, Path


def png(width: int, height: int, colour: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress((b"\0" + colour * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


class Predictor(BasePredictor):
    def setup(self) -> None:
        if os.environ.get("BREAK_SETUP"):
            raise OSError("the weights are not there")

    def predict(
        self,
        prompt: str = Input(description="What to paint"),
        width: int = Input(default=16, ge=1, le=256),
        height: int = Input(default=16, ge=1, le=256),
        num_outputs: int = Input(default=1, ge=1, le=4),
        seed: int = Input(default=0),
        image: Optional[Path] = Input(default=None, description="Comes back as it is"),  # noqa: UP045, B008
        gate: str = Input(default=""),
        fail: str = Input(default=""),
    ) -> List[Path]:  # noqa: UP006
        with File(os.environ["RUNS"]).open("a") as runs:
            runs.write(prompt + "\n")
        print(" 50%|#####     | 1/2 [00:00<00:00,  9.75it/s]", flush=True)
        while gate and not File(gate).exists():
            time.sleep(0.01)
        if fail:
            raise ValueError(fail)
        made = []
        for index in range(num_outputs):
            path = Path(f"/tmp/cog-{os.getpid()}-{seed + index}.png")
            path.write_bytes(image.read_bytes() if image else png(width, height, bytes([seed + index, 9, 9])))
            made.append(path)
        return made
