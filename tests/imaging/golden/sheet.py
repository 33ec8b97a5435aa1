"""All pictures on one sheet, to be looked at: the source, then what became of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from golden.book import made
from golden.cases import ASKED
from golden.sources import SOURCES

CELL_WIDTH, CELL_HEIGHT, COLUMNS, CAPTION = 196, 176, 8, 26
PAPER, LINE = (255, 255, 255), (210, 210, 210)


def draw(path: Path, sources: list[str] | None = None) -> None:
    """Write the sheet of those sources, of all where none is named."""
    cells: list[tuple[str, Image.Image]] = []
    for source in sources or ASKED:
        with Image.open(io.BytesIO(SOURCES[source]())) as image:
            cells.append((f"[{source}]", image.convert("RGBA")))
        cells += [(query, _shown(made(source, query).pixels)) for query in ASKED[source]]
    rows = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL_WIDTH, rows * CELL_HEIGHT), PAPER)
    pen = ImageDraw.Draw(sheet)
    for index, (caption, image) in enumerate(cells):
        left, top = index % COLUMNS * CELL_WIDTH, index // COLUMNS * CELL_HEIGHT
        pen.rectangle((left, top, left + CELL_WIDTH - 1, top + CELL_HEIGHT - 1), outline=LINE)
        words = caption + ("" if caption.startswith("[") else f" {image.width}x{image.height}")
        for line, part in enumerate((words[:32], words[32:64])):
            pen.text((left + 3, top + 2 + 12 * line), part, fill=(0, 0, 0))
        image.thumbnail((CELL_WIDTH - 8, CELL_HEIGHT - CAPTION - 8))
        ground = _checkered(image.size)
        ground.paste(image, (0, 0), image)
        sheet.paste(ground, (left + 4, top + CAPTION + 2))
    sheet.save(path)


def _shown(pixels: np.ndarray) -> Image.Image:  # type: ignore[type-arg]
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[pixels.shape[2]]
    return Image.fromarray(pixels[..., 0] if mode == "L" else pixels, mode).convert("RGBA")


def _checkered(size: tuple[int, int]) -> Image.Image:
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    return Image.fromarray(np.where((x // 6 + y // 6) % 2, 205, 240).astype(np.uint8)).convert("RGB")
