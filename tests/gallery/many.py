"""Large galleries, written straight into the database: real pictures, none of them ordered.

`await fill(database, account_id, 25_000)` takes a few seconds. With `folder`, the disk store's
(`<data folder>/assets`), every picture can be loaded: a few hundred small drawings lie there, and each asset
has one of them as its copy.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import pyvips
from sqlalchemy import insert

from ferrotype.db.database import Database, Transaction
from ferrotype.db.schema import assets, copies, generations
from ferrotype.domain.ids import new_id
from ferrotype.domain.words import folded
from ferrotype.imaging.placeholder import placeholder

#: Rows of one statement: as many as leave the writer free for others now and then.
ROWS: Final = 2_000
#: Different drawings; more assets than that share them.
DRAWINGS: Final = 240
MODELS: Final = (
    ("local/illustrator", 40),
    ("black-forest-labs/flux-schnell", 25),
    ("google/gemini-flash-image", 15),
    ("openai/gpt-image", 12),
    ("stability-ai/sdxl", 8),
)
STYLES: Final = ((None, 40), ("realistic", 25), ("artistic", 15), ("illustration", 12), ("3d", 8))
RATIOS: Final = {
    "1:1": (512, 512), "16:9": (640, 360), "9:16": (360, 640), "4:3": (600, 450), "3:4": (450, 600),
}  # fmt: skip
OPERATIONS: Final = (("generate", 85), ("variation", 9), ("upscale", 6))
SUBJECTS: Final = (
    "a red fox", "an old lighthouse", "two otters", "a Füchsin im Schnee", "une église à l'aube", "ΜΙΑ ΓΑΤΑ",
    "a bowl of 100% ripe cherries", "a paper_crane", "кот на крыше", "a tram in Straße 7", "月の下の狐",
    "a greenhouse", "three kites", "a café counter", "a map of C:\\harbour", "an astronaut",
)  # fmt: skip
PLACES: Final = (
    "under the moon", "by the sea", "in tall grass", "on a quiet square", "beside a river",
    "above the clouds", "in an empty hall", "at the edge of a forest",
)  # fmt: skip
LIGHTS: Final = ("at dawn", "in evening sun", "in fog", "by lantern light", "after rain", "at high noon")
DETAILS: Final = (
    "wide shot, muted colours, fine grain, a hint of wind in every leaf",
    "close up, shallow focus, soft shadows, drawn with a dry brush on rough paper",
    "seen from above, strong lines, four flat colours and a lot of white",
    "low angle, long exposure, the horizon in the lower third, nobody in sight",
)


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture that many assets have in common."""

    ratio: str
    width: int
    height: int
    data: bytes
    sha256: str
    placeholder: dict[str, str]


async def fill(
    database: Database,
    account_id: str,
    count: int,
    *,
    folder: Path | None = None,
    seed: int = 1,
    days: int = 400,
    newest: datetime | None = None,
) -> list[str]:
    """Write `count` ready pictures of 1 to 4 a generation, spread over `days` before `newest` (now when
    omitted); their ids, newest first. The same `seed` draws the same prompts, models, sizes and days."""
    drawn = drawings(folder, seed)
    at = (newest or datetime.now(UTC)).astimezone(UTC)
    made: list[dict[str, Any]] = []
    pictures: list[dict[str, Any]] = []
    kept: list[dict[str, Any]] = []
    for generation, own in _orders(random.Random(seed), drawn, account_id, count, at, days):
        made.append(generation)
        for drawing, asset in own:
            pictures.append(asset)
            if folder is not None:
                kept.append({"asset_id": asset["id"], "store": "disk", "key": _key(drawing), "stored_at": at})
    for table, rows in ((generations, made), (assets, pictures), (copies, kept)):
        for start in range(0, len(rows), ROWS):
            chunk = rows[start : start + ROWS]

            def story(tx: Transaction, table: Any = table, chunk: list[dict[str, Any]] = chunk) -> None:
                tx.execute(insert(table), chunk)

            await database.write(story, durable=False)
    return sorted((str(asset["id"]) for asset in pictures), reverse=True)


def drawings(folder: Path | None, seed: int = 1, count: int = DRAWINGS) -> list[Drawing]:
    """Small pictures, each a little different; with a `folder`, they are written there."""
    drawn = _drawn(seed, count)
    if folder is not None:
        for drawing in drawn:
            path = folder / _key(drawing)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(drawing.data)
    return drawn


@lru_cache(4)
def _drawn(seed: int, count: int) -> list[Drawing]:
    dice = random.Random(seed)
    plans = [(ratio, dice.randbytes(24)) for ratio in RATIOS for _ in range(count // len(RATIOS))]
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda plan: _draw(*plan), plans))


def _draw(ratio: str, dice: bytes) -> Drawing:
    width, height = RATIOS[ratio]
    sky, ground, light = (tuple(dice[at : at + 3]) for at in (0, 3, 6))
    hill, x, y, r = (dice[at] / 255 for at in (9, 10, 11, 12))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
        f'<defs><linearGradient id="s" x2="0" y2="1"><stop stop-color="rgb{sky}"/>'
        f'<stop offset="1" stop-color="rgb{light}"/></linearGradient></defs>'
        f'<rect width="100%" height="100%" fill="url(#s)"/>'
        f'<circle cx="{x * width:.0f}" cy="{y * height * 0.6:.0f}" r="{20 + r * 60:.0f}" fill="rgb{light}"/>'
        f'<path d="M0 {height * 0.7:.0f} Q{width * hill:.0f} {height * 0.4:.0f} {width} {height * 0.75:.0f}'
        f' V{height} H0Z" fill="rgb{ground}"/></svg>'
    )
    image = pyvips.Image.svgload_buffer(svg.encode()).flatten()
    data = bytes(image.webpsave_buffer(Q=80, effort=0))
    digest = hashlib.sha256(data).hexdigest()
    return Drawing(ratio, width, height, data, digest, placeholder(data).model_dump())


def _key(drawing: Drawing) -> str:
    return f"many/{drawing.sha256[:32]}.webp"


def _orders(
    dice: random.Random, drawn: list[Drawing], account_id: str, count: int, newest: datetime, days: int
) -> Iterator[tuple[dict[str, Any], list[tuple[Drawing, dict[str, Any]]]]]:
    by_ratio = {ratio: [each for each in drawn if each.ratio == ratio] for ratio in RATIOS}
    left, number = count, 0
    while left > 0:
        num_images = min(left, dice.choice((1, 1, 2, 4, 4)))
        back = timedelta(days=days) * ((count - left) / count)
        at = newest - back - timedelta(milliseconds=number % 900)
        ratio = dice.choice(list(RATIOS))
        generation = _generation(dice, account_id, ratio, num_images, at, number)
        chosen = [dice.choice(by_ratio[ratio]) for _ in range(num_images)]
        yield (
            generation,
            [(drawing, _asset(generation, drawing, index, at)) for index, drawing in enumerate(chosen)],
        )
        left, number = left - num_images, number + 1


def _generation(
    dice: random.Random, account_id: str, ratio: str, num_images: int, at: datetime, number: int
) -> dict[str, Any]:
    parts = (dice.choice(SUBJECTS), dice.choice(PLACES), dice.choice(LIGHTS))
    prompt = f"{' '.join(parts)}, {dice.choice(DETAILS)}, no. {number}"
    model, style, operation = (_weighted(dice, each) for each in (MODELS, STYLES, OPERATIONS))
    width, height = RATIOS[ratio]
    order = {
        "prompt": prompt,
        "operation": operation,
        "model": model,
        "negative_prompt": "text, watermark, frame" if number % 3 == 0 else None,
        "num_images": num_images,
        "aspect_ratio": ratio,
        "width": width,
        "height": height,
        "style": style,
        "seed": number,
        "params": {"steps": 20, "guidance": 3.5},
        "mode": "immediate",
        "format": "webp",
    }
    return {
        "id": new_id(int(at.timestamp() * 1000)),
        "account_id": account_id,
        "status": "succeeded",
        "operation": operation,
        "model": model,
        "class_": "light",
        "input": order,
        "num_images": num_images,
        "credits_each": 1,
        "usd_each": 0.0,
        "prompt_folded": folded(prompt),
        "style": style,
        "aspect_ratio": ratio,
        "tags": ["spring"] if number % 50 == 0 else [],
        "metadata_": {},
        "visibility": "unlisted",
        "created_at": at,
        "started_at": at,
        "completed_at": at + timedelta(seconds=2),
    }


def _asset(generation: dict[str, Any], drawing: Drawing, index: int, at: datetime) -> dict[str, Any]:
    return {
        "id": new_id(int(at.timestamp() * 1000)),
        "account_id": generation["account_id"],
        "generation_id": generation["id"],
        "index": index,
        "state": "ready",
        "seed": generation["input"]["seed"] + index,
        "width": drawing.width,
        "height": drawing.height,
        "content_type": "image/webp",
        "animated": False,
        "has_alpha": False,
        "bytes": len(drawing.data),
        "sha256": drawing.sha256,
        "placeholder": drawing.placeholder,
        "source_type": "trainedAlgorithmicMedia",
        "visibility": "unlisted",
        "created_at": at,
    }


def _weighted(dice: random.Random, choices: tuple[tuple[Any, int], ...]) -> Any:
    return dice.choices([value for value, _ in choices], [weight for _, weight in choices])[0]
