"""Enlarging pictures with a convolutional network, by tiles, in a worker.

The networks are those of Real-ESRGAN's animevideov3 (arXiv:2107.10833) and SPAN (arXiv:2311.12770), in the
format of ncnn: input `data`, output `output`, both RGB from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

import ncnn
import numpy as np
from numpy.typing import NDArray

from ferrotype.providers.local.pictures import Bytes, Picture, to_bytes, to_floats
from ferrotype.providers.local.weights import UPSCALERS, parts

#: Side of a tile in pixels of the input: with its margins it still fits a processor's cache.
TILE: Final = 128
#: What is computed around each tile and thrown away, in pixels of the input. The networks see 18 (art) and 21
#: (photo) pixels far; with 16 no value of a tile differs by as much as one level of 255, so no seam shows.
MARGIN: Final = 16

Tell = Callable[[float], None]


class Network:
    """One network of ncnn, loaded."""

    def __init__(self, param: Path, weights: Path, scale: int, threads: int) -> None:
        self.scale = scale
        self._net = ncnn.Net()
        options = self._net.opt
        options.num_threads = threads
        options.use_vulkan_compute = False
        # Half precision, where a processor has it, overflows inside SPAN and differs between machines.
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        options.use_bf16_storage = False
        if self._net.load_param(str(param)) != 0 or self._net.load_model(str(weights)) != 0:
            raise OSError(f"The network {param.name} cannot be read.")

    def run(self, patch: Bytes) -> NDArray[np.float32]:
        """Enlarge (height, width, 3) to values from 0 to 1. Raises MemoryError."""
        values = np.ascontiguousarray(to_floats(patch).transpose(2, 0, 1))
        # A Mat only points into the array, and the extractor keeps no array alive: without a copy of its own
        # it would read memory that is in use for something else by then, and say nothing.
        mat = ncnn.Mat(values).clone()
        extractor = self._net.create_extractor()
        extractor.input("data", mat)
        code, out = extractor.extract("output")
        if code != 0 or out.empty():
            raise MemoryError(f"The network ended with code {code}.")
        return np.array(out).transpose(1, 2, 0)


@lru_cache(maxsize=1)  # another one is loaded within a tenth of a second
def network(target: str, scale: int, threads: int) -> Network:
    """The network of that target. Raises FileNotFoundError and OSError."""
    param, weights = (part.find() for part in parts(UPSCALERS[target][scale]))
    return Network(param, weights, scale, threads)


def upscale(picture: Picture, net: Network, tell: Tell, tile: int = TILE) -> Bytes:
    """The enlarged picture, with as many channels as the original. `tell` hears the part that is done.

    Transparency is enlarged by itself; grey stays grey.
    """
    passes = 1 if picture.alpha is None else 2
    color_bands = 1 if picture.grey else 3
    width, height = (side * net.scale for side in picture.size)
    out: Bytes = np.empty((height, width, color_bands + passes - 1), np.uint8)
    steps = Steps(passes * count_tiles(picture.size, tile), tell)
    enlarge(picture.color, net, out[:, :, :color_bands], steps, tile)
    if picture.alpha is not None:
        enlarge(picture.alpha[:, :, None], net, out[:, :, color_bands:], steps, tile)
    return out


class Steps:
    """Counts steps, and tells of each."""

    def __init__(self, total: int, tell: Tell) -> None:
        self._total, self._done, self._tell = total, 0, tell

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        self._tell(self._done / self._total)


def enlarge(plane: Bytes, net: Network, out: Bytes, steps: Steps, tile: int = TILE) -> None:
    """Enlarge `plane`, of 1 or 3 channels, into `out`; where `out` has one channel, the mean is written."""
    scale = net.scale
    for top, bottom, left, right in tiles(plane.shape[1], plane.shape[0], tile):
        rows = mirrored(top - MARGIN, bottom + MARGIN, plane.shape[0])
        columns = mirrored(left - MARGIN, right + MARGIN, plane.shape[1])
        patch = plane[rows[:, None], columns]
        target = out[top * scale : bottom * scale, left * scale : right * scale]
        if plane.shape[2] == 1 and patch.min() == patch.max():
            target[:] = patch[0, 0]  # most of a cut-out's transparency is all or nothing
        else:
            values = net.run(np.broadcast_to(patch, (*patch.shape[:2], 3)))
            inner = values[MARGIN * scale : -MARGIN * scale, MARGIN * scale : -MARGIN * scale]
            target[:] = to_bytes(inner if out.shape[2] == 3 else inner.mean(axis=2, keepdims=True))
        steps.step()


def tiles(width: int, height: int, tile: int) -> Iterator[tuple[int, int, int, int]]:
    """(top, bottom, left, right) of each, row by row."""
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            yield top, min(top + tile, height), left, min(left + tile, width)


def count_tiles(size: tuple[int, int], tile: int) -> int:
    """How many tiles a picture of (width, height) has."""
    return -(-size[0] // tile) * -(-size[1] // tile)


def mirrored(start: int, stop: int, length: int) -> NDArray[np.intp]:
    """Indices from `start` to `stop`, those outside of 0 to `length` mirrored at the edges."""
    around = np.arange(start, stop)
    if length == 1:
        return np.zeros(stop - start, np.intp)
    period = 2 * (length - 1)
    folded = np.abs(around) % period
    indices: NDArray[np.intp] = np.where(folded < length, folded, period - folded)
    return indices
