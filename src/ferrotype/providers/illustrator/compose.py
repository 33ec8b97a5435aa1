"""From scene to picture, step by step: backdrop, shadows, subjects, foreground, finish."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace

import pyvips

from . import artwork, finish, grounds, layout, painter, palette, props, skies, sprites, weather
from .canvas import Canvas
from .colours import darker, lighter, mix
from .grounds import Ground, Stage
from .items import Item
from .looks import Look
from .scene import Scene
from .vocabulary import codes

Progress = Callable[[float, bytes | None], None]
_NATURAL = codes("meadow forest jungle savanna mountains snow sea lake pond beach desert sky")
_POLISHED = frozenset({"studio", "table", "room", "city"})
#: Things that shine by themselves: the night does not darken them.
_SHINING = codes(
    "1F56F 1F3EE 1F525 1F4A1 1F386 1F387 2B50 1F320 2604 E143 1F6F8 1FA90 1F383 1F52E 1F426-200D-1F525"
)
_PREVIEW = 256


class Composer:
    """One drawing in progress. `report` may raise to stop it."""

    def __init__(self, scene: Scene, look: Look, width: int, height: int, report: Progress) -> None:
        scene = _settled(scene)
        low, high = grounds.HORIZONS.get(scene.setting, (0.55, 0.62))
        rng = scene.rng("stage")
        crowd = sum(s.count for s in scene.subjects if s.place not in ("fly", "sky", "swim"))
        lift = min(0.16, max(0, crowd - 5) * 0.012) if low < 0.9 else 0.0
        self.horizon = rng.uniform(low, high) - lift
        self.scene, self.look, self.w, self.h, self.report = scene, look, width, height, report
        self.palette = palette.choose(scene.hour, scene.weather, scene.accent, scene.rng("palette"))
        light = skies.light_of(scene, scene.rng("light"), self.horizon)
        margin = light.radius * min(width, height * 1.4) * 1.15 / width
        self.light = replace(light, x=min(max(light.x, margin), 1 - margin))
        self._known: dict[tuple[object, ...], pyvips.Image] = {}
        self.side = -1.0 if self.light.x < 0.5 else 1.0

    def draw(self) -> pyvips.Image:
        """The finished picture."""
        picture, stage = self._backdrop()
        self._tell(0.3, picture)
        items = layout.place(self.scene, stage, self.light, self.w, self.h)
        pictures = [self._sprite(item) for item in items]
        self._tell(0.5, None)
        picture = self._shadows(picture, items, pictures, stage)
        picture = self._subjects(picture, items, pictures)
        self._tell(0.75, picture)
        picture = self._foreground(picture, items, stage)
        if self.look.paint:
            picture = painter.paint(picture, self._detail(items, pictures), self.scene.rng("paint"))
            self._tell(0.9, picture)
        picture = finish.develop(picture, self.look, self.scene.rng("grain")).copy_memory()
        self._tell(1.0, picture)
        return picture

    def _tell(self, fraction: float, picture: pyvips.Image | None) -> None:
        if picture is None:
            self.report(fraction, None)
            return
        small = picture.resize(min(1.0, _PREVIEW / max(picture.width, picture.height)), kernel="linear")
        self.report(fraction, small[0:3].jpegsave_buffer(Q=72))

    # --- backdrop

    def _canvas(self) -> Canvas:
        return Canvas(self.w, self.h, flat=self.look.flat, clay=self.look.clay, light_x=self.light.x)

    def _backdrop(self) -> tuple[pyvips.Image, Stage]:
        c, scene = self._canvas(), self.scene
        if scene.setting not in grounds.OWN_SKY:
            skies.paint(c, scene, self.palette, self.light, self.horizon, scene.rng("sky"))
            weather.behind(c, scene, self.palette, self.horizon, scene.rng("bolts"))
        stage = grounds.paint(Ground(c, scene, self.palette, self.light, self.horizon, scene.rng("ground")))
        self.report(0.1, None)
        detail = (
            self.look.detail if min(self.w, self.h) > 400 and scene.subjects else max(self.look.detail, 0.8)
        )
        image = pyvips.Image.svgload_buffer(c.document(), scale=detail)[0:3].copy_memory()
        if (
            self.look.focus and scene.subjects
        ):  # with nothing in front of it, the backdrop is what is looked at
            blurred = image.gaussblur(max(0.6, self.look.focus * detail * c.u))
            ramp = pyvips.Image.xyz(1, image.height)[1] / image.height
            near = ((ramp - stage.back) / max(0.05, stage.front - stage.back)) * (0.0 if stage.free else 1.0)
            near = (
                (near > 0)
                .ifthenelse((near < 1).ifthenelse(near, 1), 0)
                .resize(image.width, vscale=1, kernel="nearest")
            )
            image = (image * near + blurred * (1 - near)).cast("uchar").copy_memory()
        if self.look.texture and scene.setting in _NATURAL:
            image = finish.ripple(image, c.u * detail * 0.7, scene.rng("ripple"))
        if (image.width, image.height) != (self.w, self.h):
            image = image.resize(self.w / image.width, vscale=self.h / image.height, kernel="cubic")
            image = image.embed(0, 0, self.w, self.h, extend="copy")
        return image.copy(interpretation="srgb").copy_memory(), stage

    # --- subjects

    def _sprite(self, item: Item) -> pyvips.Image:
        image = self._upright(item)
        if item.floating and item.sunk:
            image = image.crop(0, 0, image.width, max(1, round(image.height * (1 - item.sunk))))
        if abs(item.tilt) > 0.5:
            image = (
                image.premultiply().rotate(item.tilt, background=[0, 0, 0, 0]).unpremultiply().cast("uchar")
            )
            image = image.copy(interpretation="srgb").copy_memory()
        return image

    def _upright(self, item: Item) -> pyvips.Image:
        """The lit subject, not yet tilted or sunk; copies that look alike share it."""
        s, width = item.subject, max(4.0, round(item.w))
        tone = self.scene.rng(f"tone {s.name} {item.copy}").randrange(25) if artwork.has_skin(s.code) else 0
        light, haze = self.palette.subject, (self.palette.haze, item.depth)
        if s.code in _SHINING:
            light = (1.02, 1.02, 1.02)
        elif self.scene.setting in ("room", "table"):
            light = (0.86, 0.86, 0.94) if self.palette.night else (1.0, 1.0, 1.0)
        elif self.scene.setting in ("studio", "space", "moon"):
            light = (1.0, 1.0, 1.0)
        elif self.scene.setting == "underwater":
            light, haze = (0.84, 0.98, 1.02), ("#2a86b8", 0.08 + 0.08 * (item.copy % 3))
        key = (s.code, s.colour, tone, width, item.flip, light, haze)
        if key not in self._known:
            image = sprites.render(s.code, s.place, s.colour, tone, width, self.look)
            image = image.fliphor() if item.flip else image
            self._known[key] = sprites.shaded(
                image, s.code, s.place, self.look, light, self.side, haze, flipped=item.flip
            )
        return self._known[key]

    @staticmethod
    def _corner(item: Item, image: pyvips.Image) -> tuple[int, int]:
        """Where the sprite's top left goes; a tilted one keeps its centre."""
        if abs(item.tilt) > 0.5:
            return round(item.x - image.width / 2), round(item.y - item.h / 2 - image.height / 2)
        return round(item.x - image.width / 2), round(item.y - item.h)

    def _subjects(
        self, picture: pyvips.Image, items: list[Item], pictures: list[pyvips.Image]
    ) -> pyvips.Image:
        layers: list[tuple[pyvips.Image, int, int]] = []
        polished = self.look.mirror and self.scene.setting in _POLISHED
        for item, image in zip(items, pictures, strict=True):
            x, y = self._corner(item, image)
            if item.floating or (polished and not item.airborne):
                strength = 0.42 if item.floating else self.look.mirror
                layers.append((self._reflection(image, strength), x, y + image.height))
            layers.append((image, x, y))
        for start in range(0, len(layers), 12):
            picture = _over(picture, layers[start : start + 12])
            self.report(0.5 + 0.2 * min(1.0, (start + 12) / len(layers)), None)
        return picture

    @staticmethod
    def _reflection(image: pyvips.Image, strength: float) -> pyvips.Image:
        flipped = image.flipver()
        flipped = flipped.crop(0, 0, flipped.width, max(1, flipped.height // 2))
        fade = (1 - pyvips.Image.xyz(1, flipped.height)[1] / flipped.height) * strength
        fade = fade.resize(flipped.width, vscale=1, kernel="nearest")
        return flipped[0:3].bandjoin((flipped[3] * fade).cast("uchar")).copy(interpretation="srgb")

    # --- shadows

    def _shadows(
        self, picture: pyvips.Image, items: list[Item], pictures: list[pyvips.Image], stage: Stage
    ) -> pyvips.Image:
        opacity, softness = self.look.shadow
        standing = [(i, p) for i, p in zip(items, pictures, strict=True) if not i.airborne and not i.floating]
        if not standing or stage.free:
            return picture
        q = 4 if min(self.w, self.h) >= 512 else 2
        c = Canvas(math.ceil(self.w / q), math.ceil(self.h / q))
        for item, _ in standing:
            x, y, rx = item.x / q, item.y / q, item.w / q * 0.5
            ry = max(rx * 0.13, item.h / q * 0.035)
            if softness == 0:
                c.ellipse(x, y - ry * 0.2, rx * 0.98, ry, "#000000")
            else:
                c.haze(x, y - ry * 0.1, rx * 1.25, ry * 1.9, "#000000", 0.95)
        mask = pyvips.Image.svgload_buffer(c.document())
        if softness:
            casts = [self._cast(item, image, q) for item, image in standing]
            mask = mask.composite(
                [m for m, _, _ in casts],
                ["over"] * len(casts),
                x=[x for _, x, _ in casts],
                y=[y for _, _, y in casts],
            )
        dark = mask[3].gaussblur(max(0.6, softness * c.u * 0.55)) if softness else mask[3]
        dark = dark.resize(self.w / dark.width, vscale=self.h / dark.height, kernel="linear").embed(
            0, 0, self.w, self.h, extend="copy"
        )
        k = opacity * (0.7 if self.scene.weather & {"rain", "storm", "fog"} else 1.0) / 255
        # Only the rows below the highest foot can be in shadow.
        top = max(0, min(self.h - 1, round(min(item.y - 0.1 * item.w - 4 * c.u * q for item, _ in standing))))
        dark = dark.crop(0, top, self.w, self.h - top)
        shade = dark * [-k, -k * 0.94, -k * 0.8] + 1
        lower = (picture.crop(0, top, self.w, self.h - top) * shade).cast("uchar")
        return picture.insert(lower, 0, top).copy(interpretation="srgb").copy_memory()

    def _cast(self, item: Item, image: pyvips.Image, q: int) -> tuple[pyvips.Image, int, int]:
        """The item's outline laid on the ground, away from the light."""
        long = {"sunset": 0.5, "golden": 0.46, "morning": 0.4, "dusk": 0.3}.get(self.scene.hour, 0.28)
        if self.scene.setting in ("room", "table", "studio"):
            long = 0.2
        alpha = image[3].resize(1 / q, vscale=long / q).flipver()
        lean = max(-1.3, min(1.3, (item.x / self.w - self.light.x) * 1.7))
        pad = math.ceil(abs(lean) * alpha.height) + 1
        wide = alpha.embed(pad, 0, alpha.width + 2 * pad, alpha.height)
        sheared = wide.affine([1, lean, 0, 1], oarea=[0, 0, wide.width, wide.height])
        fade = 0.62 - pyvips.Image.xyz(1, sheared.height)[1] / sheared.height * 0.42
        sheared = (sheared * fade.resize(sheared.width, vscale=1, kernel="nearest")).cast("uchar")
        black = pyvips.Image.black(sheared.width, sheared.height, bands=3).copy(interpretation="srgb")
        x, y = round(item.x / q - alpha.width / 2 - pad), round((item.y - item.h * 0.02) / q)
        return black.bandjoin(sheared), x, y

    # --- foreground and finish

    def _foreground(self, picture: pyvips.Image, items: list[Item], stage: Stage) -> pyvips.Image:
        c, rng = self._canvas(), self.scene.rng("front")
        drawn, whole = self._growth(c, items, stage, rng), False
        for item in items:
            if item.subject.code in _SHINING and not self.look.flat:
                c.glow(item.x, item.y - item.h * 0.6, item.h * 0.9, "#ffd98a", 0.4)
                drawn = whole = True
            if item.floating:
                self._waterline(c, item)
                drawn = True
        if weather.front(c, self.scene, self.palette, self.horizon, self.scene.rng("weather")):
            drawn = whole = True
        if not drawn:
            return picture
        layer = pyvips.Image.svgload_buffer(c.document())
        if not whole:  # nothing but what grows at the feet: leave the rest alone
            top = max(0, min(self.h - 1, round(min(i.y - i.h * i.sunk for i in items) - 6 * c.u)))
            layer = layer.crop(0, top, self.w, self.h - top)
            return _over(picture, [(layer, 0, top)])
        return picture.composite(layer, "over")[0:3].copy_memory()

    def _growth(self, c: Canvas, items: list[Item], stage: Stage, rng: random.Random) -> bool:
        """What grows over the feet, so that nothing looks pasted on."""
        feet = [
            i
            for i in items
            if not i.airborne
            and not i.floating
            and not any(
                o is not i
                and o.order > i.order
                and o.top < i.y < o.y + c.u
                and abs(o.x - i.x) < (o.w + i.w) * 0.45
                for o in items
            )
        ]
        if not stage.growth or not feet:
            return False
        for item in feet:
            s = c.u * (1.2 + 0.012 * item.w / c.u)
            if stage.growth == "grass":
                n = max(3, min(14, round(item.w / (c.u * 2.4))))
                for _ in range(n):
                    x = item.x + rng.uniform(-0.5, 0.5) * item.w
                    tone = mix(darker(stage.soil, 0.18), lighter(stage.soil, 0.16), rng.random())
                    props.tuft(
                        c, x, item.y + c.u * rng.uniform(0.2, 1.1), s * rng.uniform(0.9, 1.7), tone, rng
                    )
            elif stage.growth == "snow":
                c.ellipse(item.x, item.y + c.u * 0.5, item.w * 0.42, c.u * 1.0, stage.soil, 0.9)
            elif stage.growth == "sand":
                for _ in range(4):
                    x = item.x + rng.uniform(-0.4, 0.4) * item.w
                    c.ellipse(
                        x,
                        item.y + c.u * 0.5,
                        c.u * rng.uniform(1, 2.4),
                        c.u * 0.4,
                        lighter(stage.soil, 0.15),
                        0.8,
                    )
        return True

    def _waterline(self, c: Canvas, item: Item) -> None:
        y, foam = item.y - item.h * item.sunk, lighter(self.palette.sky[-1], 0.55)
        for k, (wide, opacity) in enumerate(((0.5, 0.85), (0.62, 0.5), (0.42, 0.4))):
            n = item.w * wide
            dy = c.u * (0.1 + 0.9 * k)
            c.stroke(
                f"M{item.x - n:.1f},{y + dy:.1f}q{n / 4:.1f},{-c.u * 0.5:.1f} {n / 2:.1f},"
                f"0t{n / 2:.1f},0t{n / 2:.1f},0t{n / 2:.1f},0",
                foam,
                c.u * (0.5 - 0.1 * k),
                opacity,
            )

    def _detail(self, items: list[Item], pictures: list[pyvips.Image]) -> pyvips.Image | None:
        """Where the painter keeps more of the drawing: on the subjects."""
        if not items:
            return None
        q = 4
        base = pyvips.Image.black(math.ceil(self.w / q), math.ceil(self.h / q), bands=4).copy(
            interpretation="srgb"
        )
        small = [image.resize(1 / q) for image in pictures]
        spots = [self._corner(item, image) for item, image in zip(items, pictures, strict=True)]
        mask = base.composite(
            small, ["over"] * len(small), x=[x // q for x, _ in spots], y=[y // q for _, y in spots]
        )[3]
        mask = mask.gaussblur(1.0).resize(self.w / mask.width, vscale=self.h / mask.height, kernel="linear")
        return mask.embed(0, 0, self.w, self.h, extend="copy")


def _over(picture: pyvips.Image, layers: list[tuple[pyvips.Image, int, int]]) -> pyvips.Image:
    """`layers` (image, left, top) laid on `picture`; only the part that they cover is computed."""
    left = max(0, min(x for _, x, _ in layers))
    top = max(0, min(y for _, _, y in layers))
    right = min(picture.width, max(x + image.width for image, x, _ in layers))
    bottom = min(picture.height, max(y + image.height for image, _, y in layers))
    if right <= left or bottom <= top:
        return picture
    part = picture.crop(left, top, right - left, bottom - top).composite(
        [image for image, _, _ in layers],
        ["over"] * len(layers),
        x=[x - left for _, x, _ in layers],
        y=[y - top for _, _, y in layers],
    )
    return picture.insert(part[0:3], left, top).copy_memory()


def _settled(scene: Scene) -> Scene:
    """A sea with something standing in it needs a beach, a kitchen with someone in it is seen as a room."""
    standing = any(
        s.place in ("ground", "plush", "person", "building", "plant") and s.relation is None
        for s in scene.subjects
    )
    afloat = any(s.place in ("float", "swim") for s in scene.subjects)
    at_the_table = scene.setting == "table" and any(
        s.place in ("person", "building") or (s.place in ("ground", "plush") and s.height > 0.5)
        for s in scene.subjects
    )
    if at_the_table:
        return replace(scene, setting="room")
    if (
        scene.setting == "sea"
        and standing
        and not (afloat and any(s.relation in ("on", "in") for s in scene.subjects))
    ):
        return replace(scene, setting="beach")
    return scene
