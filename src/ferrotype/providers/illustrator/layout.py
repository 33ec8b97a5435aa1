"""Who stands where: a scene, a stage and a seed become placed items, back to front."""

from __future__ import annotations

import math
import random
from dataclasses import replace

from . import relations
from .grounds import Stage
from .items import Item, aspect_of, relative
from .relations import Spot
from .scene import Scene, Subject
from .skies import Light
from .vocabulary import codes

_SUNK: dict[str, float] = {
    "26F5": 0.27, "1F6A4": 0.3, "1F6F3": 0.36, "26F4": 0.3, "1F433": 0.16, "1F986": 0.16, "1F9A2": 0.12,
    "1F9A6": 0.1,
    "1F6F6": 0.24, "1FAB7": 0.05, "1F3C4": 0.12, "1F6E5": 0.3,
}  # fmt: skip
#: Lettering and the like: never mirrored.
_ONE_WAY = codes("1F6D1 1F4F0 1F570 23F0 E20C 1F3E5 1F3E8 1F3EA 1F691 1F3E6 231A 1F6A6 E149 1F4D5 26FD")


def place(scene: Scene, stage: Stage, light: Light, width: int, height: int) -> list[Item]:
    """Every item of the scene, in painting order."""
    rng = scene.rng("layout")
    plan = _Plan(scene, stage, light, float(width), float(height), rng)
    return sorted(plan.run(), key=lambda item: item.order)


class _Plan:
    """One layout in the making; the lists of subjects by role are its only state."""

    def __init__(
        self, scene: Scene, stage: Stage, light: Light, w: float, h: float, rng: random.Random
    ) -> None:
        self.scene, self.stage, self.light, self.w, self.h, self.rng = scene, stage, light, w, h, rng
        self.unit = min(w, h)
        self.subjects = [relations.winged(s, i, scene) for i, s in enumerate(scene.subjects)]
        self.items: list[Item] = []
        self.of: dict[int, list[Item]] = {}
        self.lifted: set[int | None] = set()
        self.facing = rng.random() < 0.5

    def run(self) -> list[Item]:
        main: list[int] = []
        behind: list[int] = []
        swim: list[int] = []
        fly: list[int] = []
        sky: list[int] = []
        dependent: list[int] = []
        subjects = self.subjects
        riders = {s.anchor for s in subjects if s.anchor is not None and relations.hosts(s)}
        # "a dragon over a castle": whatever it is, it flies.
        self.lifted = {
            s.anchor for s in subjects if s.relation == "above" and s.place not in ("fly", "sky")
        } - {None}
        for i, s in enumerate(subjects):
            if i in riders or relations.hangs(s):
                dependent.append(i)
            elif i in self.lifted:
                fly.append(i)
            elif s.place == "sky":
                sky.append(i)
            elif s.place == "fly" and not self.stage.free and s.code not in ("2602",):
                fly.append(i)
            elif s.place == "swim" and self.scene.setting == "underwater":
                swim.append(i)
            elif s.place in ("building",) or (s.place == "plant" and s.height * s.size > 1.2):
                behind.append(i)
            else:
                main.append(i)
        if not main and behind:
            main, behind = behind, []
        if self.stage.free:
            self._free([*sky, *main, *behind, *fly, *swim], (0.08, 0.92), 0.5)
        else:
            alone = not main and not behind
            self._sky(sky, alone and not fly)
            self._behind(behind)
            afloat = [i for i in main if self._afloat(subjects[i])]
            self._rows(
                [i for i in main if i not in afloat],
                bool(behind) or bool(afloat),
                bool(fly) or bool(sky or afloat),
            )
            self._water(afloat, [i for i in main if i not in afloat])
            if swim:
                self._free(swim, (0.1, 0.84), 0.46 if len(swim) == 1 else 0.4)
            self._fly(fly, alone and not swim)
        for i in dependent:
            self._attach(i)
        return self.items

    # --- roles

    def _afloat(self, s: Subject) -> bool:
        return self.stage.water is not None and s.place in ("float", "swim")

    # --- groups

    def _add(self, i: int, copy: int, x: float, y: float, h: float, **extra: object) -> Item:
        s = self.subjects[i]
        flip = s.code not in _ONE_WAY and (
            self.rng.random() < 0.5 if s.count > 2 else self.facing ^ bool(copy % 2)
        )
        item = Item(s, copy, x, y, h * aspect_of(s), h, flip, order=y)
        item = replace(item, **extra)  # type: ignore[arg-type]
        self.items.append(item)
        self.of.setdefault(i, []).append(item)
        return item

    def _copies(self, indices: list[int]) -> list[tuple[int, int]]:
        return [(i, k) for i in indices for k in range(self.subjects[i].count)]

    def _rows(self, indices: list[int], crowded: bool, airy: bool) -> None:
        """Things that stand: one row if they fit, more if they are many; the tall ones to the back."""
        todo = self._copies(indices)
        if not todo:
            return
        subjects, rng = self.subjects, self.rng
        w, h = self.w, self.h
        back, front = self.stage.back * h, self.stage.front * h
        sizes = [relative(subjects[i]) for i, _ in todo]
        n = len(todo)
        tallest = max(sizes)
        cap = (0.56 if n == 1 else 0.48) * (0.9 if crowded else 1.0) * (0.9 if airy else 1.0)
        if all(subjects[i].place == "small" for i in indices):
            cap *= 0.86
        best: tuple[float, int] = (0.0, 1)
        for rows in range(1, 6):
            per_row = self._split(sorted(range(n), key=lambda k: -sizes[k]), rows)
            widest = max(sum(sizes[k] * aspect_of(subjects[todo[k][0]]) for k in row) for row in per_row)
            scale = 0.9 * w / (widest * 1.12)
            scale = min(
                scale,
                cap * h / tallest * (1.0 if rows == 1 else 0.9),
                0.86 * w / max(s * aspect_of(subjects[i]) for s, (i, _) in zip(sizes, todo, strict=True)),
            )
            if rows > 1:
                headroom = (front - back + 0.16 * h) / (rows - 1)
                scale = min(scale, headroom / (0.74 * tallest))
            if scale > best[0] * (1.6 if n <= 3 else 1.12 if rows > 2 else 1.3):
                best = (scale, rows)
        scale, rows = best
        # Sizes speak: a lone tiny mouse is drawn smaller than a lone giant one.
        lone = subjects[indices[0]].size if len(indices) == 1 else 1.0
        if lone < 1:
            scale *= 0.3 + 0.7 * lone
        elif n == 1 and lone > 1.2:
            scale *= 1.14
        if n == 1 and subjects[indices[0]].height < 0.5:
            scale *= 0.86
        order = sorted(range(n), key=lambda k: (-round(sizes[k], 2), todo[k][0]))
        per_row = self._split(order, rows)
        first = max(back, front - (rows - 1) * 0.74 * tallest * scale) if rows > 1 else front
        first = max(first, (self.stage.horizon + 0.05) * h)
        for r, row in enumerate(per_row):
            t = r / (rows - 1) if rows > 1 else 1.0
            foot = first + (front - first) * t
            if rows == 1:
                foot = front - rng.uniform(0.0, 0.45) * max(0.0, front - max(back, front - 0.16 * h))
            self._line_up(
                [todo[k] for k in row], [sizes[k] * scale * (0.88 + 0.12 * t) for k in row], foot, r
            )

    @staticmethod
    def _split(order: list[int], rows: int) -> list[list[int]]:
        """`order` in `rows` nearly equal runs; later rows (nearer) get the remainder."""
        base, extra = divmod(len(order), rows)
        out, start = [], 0
        for r in range(rows):
            size = base + (1 if r >= rows - extra else 0)
            out.append(order[start : start + size])
            start += size
        return [row for row in out if row]

    def _line_up(self, row: list[tuple[int, int]], heights: list[float], foot: float, r: int) -> None:
        subjects, rng = self.subjects, self.rng
        pairs = list(zip(row, heights, strict=True))
        if len({i for i, _ in row}) > 1:
            groups: dict[int, list[tuple[tuple[int, int], float]]] = {}
            for pair in pairs:
                groups.setdefault(pair[0][0], []).append(pair)
            keys = list(groups)
            rng.shuffle(keys)
            pairs = [pair for key in keys for pair in groups[key]]
        widths = [hh * aspect_of(subjects[i]) for (i, _), hh in pairs]
        total = sum(widths)
        free = self.w * 0.94 - total
        gap = max(-0.12 * total / len(pairs), min(free / (len(pairs) + 1), 0.35 * total / len(pairs)))
        span = total + gap * (len(pairs) - 1)
        slack = max(0.0, self.w * 0.94 - span) / 2
        if len(pairs) == 1:
            shift = rng.choice((-1, 1)) * rng.uniform(0.15, 0.6) * slack * 0.55
            if (
                self.light.visible
                and abs(self.light.x * self.w - (self.w / 2 + shift)) < 0.2 * self.w
                and self.light.y < 0.4
            ):
                shift = -shift
        else:
            shift = rng.uniform(-0.6, 0.6) * slack + (gap + widths[0]) * 0.18 * (1 if r % 2 else -1) * (
                slack > 0
            )
        x = self.w / 2 + shift - span / 2
        for ((i, copy), hh), ww in zip(pairs, widths, strict=True):
            dy = rng.uniform(-0.05, 0.03) * hh if len(pairs) > 1 else 0.0
            jitter = rng.uniform(-0.2, 0.2) * max(0.0, gap)
            centre = min(max(x + ww / 2 + jitter, ww * 0.5 + self.w * 0.01), self.w * 0.99 - ww * 0.5)
            low = min(foot + dy, self.h * 0.975)
            self._add(i, copy, centre, low, hh, airborne=subjects[i].place == "fly")
            x += ww + gap

    def _behind(self, indices: list[int]) -> None:
        """Houses and tall trees behind the main row."""
        todo = self._copies(indices)
        if not todo:
            return
        subjects, rng, n = self.subjects, self.rng, len(todo)
        foot = (self.stage.back + 0.02) * self.h
        xs = [(k + 0.5) / n for k in range(n)]
        rng.shuffle(xs)
        for (i, copy), x in zip(todo, xs, strict=True):
            s = subjects[i]
            tall = min(
                0.27 * self.h * relative(s) ** 0.8,
                foot * 0.9,
                0.8 * self.w / (n * aspect_of(s)),
                0.55 * self.h,
            )
            if n == 1:
                x = rng.uniform(0.2, 0.34) if rng.random() < 0.5 else rng.uniform(0.66, 0.8)
            ww = tall * aspect_of(s)
            centre = min(max(x * self.w + rng.uniform(-0.03, 0.03) * self.w, ww / 2), self.w - ww / 2)
            self._add(i, copy, centre, foot + rng.uniform(0, 0.03) * self.h, tall, depth=0.12)

    def _water(self, indices: list[int], standing: list[int]) -> None:
        todo = self._copies(indices)
        if not todo or self.stage.water is None:
            return
        subjects, rng, n = self.subjects, self.rng, len(todo)
        top, bottom = self.stage.water[0] * self.h, self.stage.water[1] * self.h
        rows = 1 if n <= 3 else 2 if n <= 8 else 3 if n <= 15 else 4
        order = sorted(range(n), key=lambda k: todo[k])
        cap = 0.46 if not standing else 0.3
        for r, row in enumerate(self._split(order, rows)):
            t = (r + 1) / rows
            foot = top + (bottom - top) * (0.3 + 0.62 * t if rows > 1 else rng.uniform(0.55, 0.8))
            sizes = [relative(subjects[todo[k][0]]) for k in row]
            widths = [z * aspect_of(subjects[todo[k][0]]) for z, k in zip(sizes, row, strict=True)]
            scale = min(cap * self.h / max(sizes), 0.88 * self.w / (sum(widths) * 1.1)) * (0.72 + 0.28 * t)
            slots = [sum(widths[:k]) + widths[k] / 2 for k in range(len(row))]
            span = sum(widths) * scale
            slack = max(0.0, self.w * 0.92 - span)
            start = (self.w - span) / 2 + rng.uniform(-0.35, 0.35) * slack
            if standing and len(todo) <= 3:  # out from behind whoever stands on the shore
                ashore = [item.x for item in self.items if not item.airborne]
                middle_ashore = sum(ashore) / len(ashore) if ashore else self.w / 2
                start = self.w * 0.04 if middle_ashore > self.w / 2 else self.w * 0.96 - span
            spread = 1 + min(0.35, slack / max(1.0, span)) * (len(row) > 1)
            middle = start + span / 2
            for k, z, slot in zip(row, sizes, slots, strict=True):
                i, copy = todo[k]
                x = middle + (start + slot * scale - middle) * spread
                hh = z * scale
                ww = hh * aspect_of(subjects[i])
                x = min(max(x, ww / 2), self.w - ww / 2)
                sunk = _SUNK.get(subjects[i].code, 0.22 if subjects[i].place == "swim" else 0.1)
                self._add(
                    i,
                    copy,
                    x,
                    foot + rng.uniform(-0.02, 0.02) * self.h + hh * sunk,
                    hh,
                    sunk=sunk,
                    floating=True,
                    depth=0.1 * (1 - t),
                )

    def _cells(
        self, n: int, box: tuple[float, float, float, float]
    ) -> tuple[list[tuple[float, float]], float, float]:
        """Centres of `n` of the cells of the best grid over `box` (left, top, width, height), and the cell
        size."""
        left, top, bw, bh = box
        columns = max(1, min(n, round(math.sqrt(n * bw / max(1.0, bh)))))
        rows = math.ceil(n / columns)
        cw, ch = bw / columns, bh / rows
        centres = []
        for r in range(rows):
            inside = columns if r < rows - 1 else n - columns * (rows - 1)
            offset = (columns - inside) / 2
            centres += [(left + (c + 0.5 + offset) * cw, top + (r + 0.5) * ch) for c in range(inside)]
        self.rng.shuffle(centres)
        return centres, cw, ch

    def _free(self, indices: list[int], band: tuple[float, float], cap: float) -> None:
        """Things that drift: a loose grid over the whole width."""
        todo = self._copies(indices)
        if not todo:
            return
        subjects, rng, n = self.subjects, self.rng, len(todo)
        top, bottom = band[0] * self.h, band[1] * self.h
        centres, cw, ch = self._cells(n, (self.w * 0.05, top, self.w * 0.9, bottom - top))
        # One scale for all, so that sizes compare; what there is only one of may spill over its cell.
        rel = [relative(subjects[i]) ** 0.8 for i, _ in todo]
        fits = [
            min(ch * 0.86, cw * 0.9 / aspect_of(subjects[i]))
            * (1.5 if subjects[i].count == 1 and n > 2 else 1.0)
            / size
            for (i, _), size in zip(todo, rel, strict=True)
        ]
        scale = min(fits)
        for (i, copy), (cx, cy), size in zip(todo, centres, rel, strict=True):
            s = subjects[i]
            hh = min(scale * size, cap * self.h, cap * 1.5 * self.w / aspect_of(s))
            if n == 1 and s.size < 1:
                hh *= 0.6
            ww = hh * aspect_of(s)
            x = min(max(cx + rng.uniform(-0.5, 0.5) * max(0.0, cw - ww), ww * 0.52), self.w - ww * 0.52)
            y = cy + rng.uniform(-0.5, 0.5) * max(0.0, ch - hh) + hh / 2
            tilt = rng.uniform(-16, 16) if self.stage.free and s.place not in ("sky",) else rng.uniform(-7, 7)
            self._add(i, copy, x, y, hh, airborne=True, tilt=tilt)

    def _sky(self, indices: list[int], alone: bool) -> None:
        if alone:
            self._free(indices, (0.08, max(0.5, self.stage.horizon - 0.05)), 0.4)
            return
        for (i, copy), k in zip(self._copies(indices), range(99), strict=False):
            side = 0.8 if self.light.x < 0.5 else 0.2
            hh = 0.15 * self.unit * self.subjects[i].size
            x = (side + (k % 3 - 1) * 0.22) * self.w
            self._add(
                i,
                copy,
                min(max(x, hh), self.w - hh),
                (0.12 + 0.1 * (k // 3)) * self.h + hh,
                hh,
                airborne=True,
                order=-2.0,
                depth=0.15,
            )

    def _fly(self, indices: list[int], alone: bool) -> None:
        todo = self._copies(indices)
        if not todo:
            return
        subjects, rng, n = self.subjects, self.rng, len(todo)
        tops = [item.top for item in self.items if not item.airborne]
        low = min(tops) if tops else self.h * 0.7
        bottom = (
            self.h * 0.74
            if alone
            else max(0.3 * self.h, min(low - 0.01 * self.h, self.stage.horizon * self.h))
        )
        if self.scene.setting in ("underwater",):
            bottom = self.h * 0.6
        centres, cw, ch = self._cells(n, (self.w * 0.05, self.h * 0.05, self.w * 0.9, bottom - self.h * 0.05))
        if self.light.visible and len(centres) <= 3:
            lx, ly = self.light.x * self.w, self.light.y * self.h
            centres.sort(key=lambda q: -math.hypot(q[0] - lx, q[1] - ly))
        biggest = max(relative(subjects[i]) for i, _ in todo)
        cap = 0.44 if alone else 0.3
        for (i, copy), (cx, cy) in zip(todo, centres, strict=True):
            s = subjects[i]
            share = 0.5 + 0.5 * relative(s) / biggest
            hh = (
                min(ch * 0.74, cw * 0.74 / aspect_of(s), cap * self.h * min(1.2, relative(s) ** 0.5 + 0.25))
                * share
                * rng.choice((0.86, 1.0))
            )
            ww = hh * aspect_of(s)
            x = cx + rng.uniform(-0.46, 0.46) * max(0.0, cw - ww)
            y = cy + rng.uniform(-0.46, 0.46) * max(0.0, ch - hh) + hh / 2
            self._add(i, copy, x, y, hh, airborne=True, order=-1.0 + hh / self.h, tilt=rng.uniform(-6, 6))

    # --- relations

    def _attach(self, i: int) -> None:
        """A subject that hangs on another: worn or held, or placed by the one that names it as its anchor."""
        s = self.subjects[i]
        if relations.hangs(s) and s.anchor is not None and self.of.get(s.anchor):
            self._hang(i, 0, relations.carried(s, self.of[s.anchor][0], self.w))
            return
        for k, other in enumerate(self.subjects):
            if other.anchor == i and relations.hosts(other) and self.of.get(k):
                for copy in range(s.count):
                    front = self.stage.front * self.h
                    self._hang(i, copy, relations.tied(s, copy, self.of[k][0], (self.w, self.h), front))
                return
        self._rows([i], False, False)

    def _hang(self, i: int, copy: int, spot: Spot) -> None:
        item = self._add(i, copy, spot.x, spot.y, spot.h, order=spot.order, airborne=spot.airborne)
        if spot.flip is not None and item.flip != spot.flip:
            turned = replace(item, flip=spot.flip)
            self.items[-1] = self.of[i][-1] = turned
