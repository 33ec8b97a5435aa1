"""How subjects hang together: on, in, under, in front of, behind, wearing, holding. Pure geometry."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .items import Item, aspect_of, relative
from .scene import Scene, Subject
from .vocabulary import codes

#: Things that others can be in, and how deep their rim lies below their top (fraction of their height).
CONTAINERS: dict[str, float] = {
    "1F4E6": 0.16, "1F9FA": 0.45, "2615": 0.4, "1FAA3": 0.35, "26F5": 0.62, "1F6F6": 0.45, "1F6C1": 0.5,
    "1FABA": 0.5,
    "1FAB9": 0.45, "1F963": 0.35, "1F957": 0.4, "1F3FA": 0.12, "1F6D2": 0.3, "1F6F7": 0.5, "1F6A4": 0.45,
    "1F6CF": 0.35,
    "hot-air-balloon": 0.86, "1F697": 0.3, "1F69C": 0.3, "1F6F8": 0.35, "1FAB4": 0.6, "1F372": 0.5, "1F6FB":
    0.4,
}  # fmt: skip
#: How far below its top a thing can be sat upon (fraction of its height); others carry on their very top.
SEATS: dict[str, float] = {
    "1F40E": 0.36, "unicorn": 0.4, "1F404": 0.18, "1F42A": 0.2, "1F418": 0.12, "1F6CB": 0.66, "E141": 0.5,
    "1FA91": 0.55,
    "1F6CF": 0.3, "1F6B2": 0.35, "1F3CD": 0.3, "1F6F5": 0.35, "1F409": 0.45, "1F422": 0.2, "1F995": 0.62,
    "1F433": 0.3,
    "1F9F9": 0.5, "26F5": 0.62, "1F37D": 0.5, "1F993": 0.36, "1F98C": 0.5, "1F992": 0.6, "1F682": 0.12,
    "1F6F4": 0.8,
    "tree": 0.2, "1F6C1": 0.45, "1FABF": 0.5, "1F680": 0.3,
}  # fmt: skip
#: Ridden astride: the rider's legs are hidden behind them.
MOUNTS = codes(
    "1F40E unicorn 1F404 1F402 1F42A 1F42B 1F418 1F6B2 1F3CD 1F6F5 1F409 1F995 1F993 1F98C 1F992 "
    "1F416 1F411 1FACF 1F999 "
    "1F9A3 1F98F 1F405 1F981 1F996 1F415 1F408"
)
#: "A girl with a red balloon" holds it.
HELD = frozenset({"1F388", "1FA81", "2602", "1F3EE", "1FA84", "1F339", "1F490", "1F36D", "1F366"})
HEADWEAR = frozenset({"1F452", "1F3A9", "1F451", "1F9E2", "1F393", "E14A"})
#: On a string, held by its lower end, and whether the drawing must be mirrored for that end to be on the
#: left.
STRINGS = {"1F388": False, "1FA81": True}
EYEWEAR = frozenset({"1F453", "1F576"})


#: Birds that OpenMoji draws perched: in the air they borrow the dove's spread wings.
_WINGED = {"1F426": "#6f8fb8", "1F426-200D-2B1B": "#2c2d33"}


def winged(s: Subject, index: int, scene: Scene) -> Subject:
    """`s` with the wings that it needs where it flies: subject `index` of `scene`."""
    perched = s.relation in ("on", "in") or any(
        o.anchor == index and o.relation in ("on", "in") for o in scene.subjects
    )
    if s.code in _WINGED and s.place == "fly" and not perched:
        return replace(s, code="E009", colour=s.colour or _WINGED[s.code])
    return s


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a hanging thing goes: centre, foot and height in pixels, painting order, and whether it
    hovers."""

    x: float
    y: float
    h: float
    order: float
    airborne: bool = True
    flip: bool | None = None


def hosts(s: Subject) -> bool:
    """Whether the subject that stands in `s`'s relation is placed by `s`: "a cat on a sofa" names the cat
    first."""
    if s.relation == "front" and s.place in ("building", "plant"):
        return False  # those stand behind the others anyway
    if s.relation == "in":
        return s.code in CONTAINERS and s.place != "sky"
    return s.relation in ("on", "under", "behind", "front") and not (s.relation == "on" and s.place == "sky")


def hangs(s: Subject) -> bool:
    """Whether `s` itself is worn or held by its anchor."""
    if s.count != 1:
        return False
    if s.relation == "with":
        return s.code in HELD
    return s.relation in ("wearing", "holding") and s.place not in ("building", "sky")


#: Whole animals that OpenMoji draws looking right; the others look left.
_RIGHT_FACING = codes(
    "1F99D 1F9AC 1F403 1F422 1F98E 1F40D 1F409 1F995 1F996 1F40C 1F426 1F426-200D-2B1B 1F985 1F40A"
)


def _head(host: Item) -> float:
    """The x of a whole animal's head: the end that it faces."""
    looks_right = (host.subject.code in _RIGHT_FACING) != host.flip
    return host.x + (0.36 if looks_right else -0.36) * host.w


def carried(s: Subject, host: Item, width: float) -> Spot:
    """Where `host` wears or holds `s` in a picture `width` pixels wide."""
    face, aspect, near = host.subject.place in ("person", "plush"), aspect_of(s), host.order + 0.01
    if s.relation == "wearing" and s.code in HEADWEAR:
        h = host.w * (0.62 if face else 0.34) / aspect
        x = host.x if face else _head(host)
        sink = 0.05 * host.h if host.subject.place == "plush" else 0.0
        return Spot(x, host.top + h * (0.42 if face else 0.5) + sink, h, near)
    if s.relation == "wearing" and s.code in EYEWEAR and face:
        return Spot(
            host.x,
            host.top + host.h * 0.3,
            host.w * (0.42 if host.subject.place == "person" else 0.6) / aspect,
            near,
        )
    if s.relation == "wearing" and s.code in EYEWEAR:
        x = _head(host)
        return Spot(x, host.top + host.h * 0.34, host.w * 0.24 / aspect, near)
    if s.code in STRINGS:
        h = host.h * 0.62
        w = h * aspect
        return Spot(min(host.x + host.w * 0.4 + w * 0.42, width - w / 2), host.y - host.h * 0.3, h,
        host.order - 0.01,
                    flip=STRINGS[s.code])  # fmt: skip
    if s.code == "2602":
        return Spot(host.x + host.w * 0.3, host.top + host.h * 0.5, host.h * 0.72, host.order - 0.01)
    h = min(host.h * 0.42 * max(0.8, relative(s) * 1.4), host.w * 0.7 / aspect, host.h * 0.6)
    side = -1 if host.flip else 1
    in_hand = s.place == "small" and host.subject.place == "person"
    reach = host.w * 0.36 + h * aspect * 0.2 if in_hand else host.w * 0.42 + h * aspect * 0.3
    x = min(max(host.x + side * reach, h * aspect / 2), width - h * aspect / 2)
    if s.place == "fly":
        return Spot(x, host.top + host.h * 0.3, h * 1.15, near)
    # A person's hands hang at three quarters of the height; others have it at their feet.
    return Spot(x, host.y - host.h * 0.14, h, near) if in_hand else Spot(x, host.y, h, near, airborne=False)


def tied(s: Subject, copy: int, host: Item, size: tuple[float, float], front: float) -> Spot:
    """Where copy `copy` of `s` goes that is <host's relation> `host`; `front` is the lowest foot in
    pixels."""
    width, height = size
    relation, aspect = host.subject.relation, aspect_of(s)
    spread = 0.0 if s.count == 1 else (copy / (s.count - 1) - 0.5) * 0.8
    natural = host.h * relative(s) / max(0.2, relative(host.subject))
    if relation in ("on", "in"):
        return _upon(s, copy, host, height, natural, spread)
    if relation == "under":
        if host.airborne:
            return Spot(
                host.x + spread * width * 0.4,
                front * 0.96,
                min(max(natural, 0.2 * height), 0.4 * height),
                front,
                airborne=False,
            )
        h = min(max(natural, 0.24 * host.h), host.h * 0.6, host.w * 0.9 / (s.count * aspect))
        y = host.y + 0.03 * height
        return Spot(host.x + (spread + 0.12) * host.w, y, h, y, airborne=False)
    h = min(max(natural, 0.3 * host.h), 1.5 * host.h, 0.6 * height)
    w = h * aspect
    step = (host.w * 0.34 + w * 0.34) * (1 if host.x < width / 2 else -1)
    x = min(max(host.x + step + spread * w, w / 2), width - w / 2)
    if relation == "behind":
        return Spot(x, host.y - 0.05 * height, h, host.order - 1, airborne=False)
    y = min(host.y + 0.04 * height, 0.975 * height)
    return Spot(x, y, h, max(y, host.order + 0.01), airborne=False)


def _upon(s: Subject, copy: int, host: Item, height: float, natural: float, spread: float) -> Spot:
    inside = host.subject.relation == "in"
    code, aspect = host.subject.code, aspect_of(s)
    rim = CONTAINERS.get(code, 0.1) if inside else SEATS.get(code, 0.04)
    room = host.w * (0.8 if inside else 1.15) / max(1.0, s.count * 0.85)
    h = min(max(natural, 0.35 * host.h), room / aspect, 1.5 * host.h, 0.62 * height) * (
        1.0 if inside else 0.84
    )
    hidden = inside or (
        code in MOUNTS and s.place in ("person", "plush")
    )  # its lower part is behind the host
    y = min(host.top + host.h * rim + h * (0.32 if hidden else 0.03), host.y)
    h = max(height * 0.08, min(h, y - height * 0.03))
    return Spot(host.x + spread * host.w, y, h, host.order + (-0.01 if hidden else 0.01) + copy * 0.001)
