"""What a worker makes of an order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ferrotype.domain.problems import ProviderRejected, RequestProblem
from ferrotype.imaging.vips import VipsError
from ferrotype.providers.local.encode import encode
from ferrotype.providers.local.pictures import Picture, decode, image_of
from ferrotype.providers.local.weights import RESTYLE

Tell = Callable[[float], None]
#: Progress when the input is read, and when only the encoder is left.
READ: Final = 0.02
DRAWN: Final = 0.95
#: How libvips says that it got no memory; all else that it says is about the picture.
NO_MEMORY: Final = "out of memory"
#: What an order calls its input pictures.
FIELDS: Final = ("image", "images.1")
#: Width and height of the picture whose style is taken.
STYLE_SIZE: Final = (256, 256)


def make(
    order: dict[str, Any], pictures: list[bytes], threads: int, tell: Tell
) -> tuple[dict[str, Any], bytes]:
    """The facts of the finished picture, and its bytes.

    Raises ProviderRejected where the input cannot be read, MemoryError, and OSError where a network cannot.
    """
    params, target = order["params"], order["target"]
    # An upscaler takes the picture as it is; restyling takes it at the size asked for, and a square of style.
    sizes = [(order["width"], order["height"]), STYLE_SIZE] if target == RESTYLE else [None]
    inputs = [_read(data, size, field) for data, size, field in zip(pictures, sizes, FIELDS, strict=False)]
    tell(READ)

    def drawn(part: float) -> None:
        tell(READ + (DRAWN - READ) * part)

    if target == RESTYLE:
        from ferrotype.providers.local.restyle import restyle

        style = inputs[1] if len(inputs) > 1 else str(params["style"])
        strength, keep_color = float(params.get("strength", 1)), bool(params.get("keep_color", False))
        made = restyle(inputs[0], style, strength, keep_color, threads, drawn)
    else:
        from ferrotype.providers.local.upscale import network, upscale

        made = upscale(inputs[0], network(target, int(params["scale"]), threads), drawn)
    tell(DRAWN)
    body, content_type = encode(image_of(made), order["format"])
    facts = {"content_type": content_type, "width": made.shape[1], "height": made.shape[0]}
    return facts, body


def _read(data: bytes, size: tuple[int, int] | None, field: str) -> Picture:
    try:
        return decode(data, size)
    except RequestProblem as problem:
        raise ProviderRejected(problem.detail, field=field) from None
    except VipsError as error:
        if NO_MEMORY in str(error):
            raise MemoryError from None
        raise ProviderRejected("The input picture is damaged or cut short.", field=field) from None
