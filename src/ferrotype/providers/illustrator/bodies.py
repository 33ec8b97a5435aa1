"""Artwork of our own in OpenMoji's manner (72-unit grid, 2-unit round outlines).

OpenMoji draws many animals as a face and most people as a bust. On a meadow that looks like a severed head,
so
faces get a sitting body and busts get a standing one, in colours taken from the drawing itself.
"""

from __future__ import annotations

from .colours import darker, hls, lighter

#: Height of the drawing with its body, in grid units; the head keeps the top 72.
PLUSH_HEIGHT = 106
PERSON_HEIGHT = 112
#: Markup in drawing order; True marks outlines.
Layers = list[tuple[str, bool]]
_LINE = 'fill="none" stroke="#000" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"'

# (main fur, belly, tail) of the faces, by artwork code.
_FUR = {
    "1F98A": ("#e27022", "#ffffff", "bush"), "1F43A": ("#6e7074", "#d0cfce", "bush"),
    "1F981": ("#f4aa41", "#fbd893", "tuft"), "1F43B": ("#6a462f", "#a57939", "none"),
    "1F43C": ("#3f3f3f", "#ffffff", "none"), "1F438": ("#b1cc33", "#e2f08a", "none"),
    "1F439": ("#f4aa41", "#ffffff", "none"),
}  # fmt: skip


def _path(d: str, fill: str) -> str:
    return f'<path fill="{fill}" d="{d}"/>'


def _line(d: str) -> str:
    return f'<path {_LINE} d="{d}"/>'


def fur(code: str) -> str | None:
    """The main fur of a face animal's body, where it is not simply the face's own colour."""
    known = _FUR.get(code)
    return known[0] if known else None


def plush(code: str, shell: str) -> Layers:
    """The markup behind a face: a sitting body for a face animal, a machine's for the robot."""
    if code in ("1F916", "1F47D"):
        return _machine(shell)
    fur, belly, tail = _FUR.get(code, ("#a57939", "#e8cfa6", "none"))
    foot = darker(fur, 0.28)
    tails = {
        "bush": (
            "M50,99c9,2 17-3 18-13c1-8-3-14-8-18c0,7-4,9-7,14c-3,5-5,11-3,17z",
            "M60,68c5,4 9,10 8,18c-4-3-9-3-12-1c1-6 4-9 4-17z",
        ),
        "tuft": (
            "M50,97c8,1 12-5 12-12c0-4-2-8 1-12l3,3c-1,4 1,7 0,11c-2,9-9,14-16,13z",
            "M61,77c-3-5 0-11 4-13c3,4 5,9 2,14z",
        ),
    }
    layers = []
    if tail in tails:
        body, tip = tails[tail]
        layers += [
            (_path(body, fur) + _path(tip, belly if tail == "bush" else foot), False),
            (_line(body), True),
        ]
    torso = "M25,56c-7,8-11,22-10,34c1,9 8,13 21,13s20-4 21-13c1-12-3-26-10-34z"
    chest = "M36,60c-8,0-13,12-13,25c0,11 5,16 13,16s13-5 13-16c0-13-5-25-13-25z"
    layers += [(_path(torso, fur) + _path(chest, belly), False), (_line(torso), True)]
    hind = (
        "M12,99c0-8 6-13 13-11c5,1 7,8 5,14c-5,2-18,"
        "3-18-3z", "M60,99c0-8-6-13-13-11c-5,1-7,8-5,14c5,2 18,3 18-3z",
    )  # fmt: skip
    layers += [("".join(_path(d, fur) for d in hind), False), ("".join(_line(d) for d in hind), True)]
    paws = (
        "M25,80c0,8-1,13-1,18c0,5 10,6 11,1c0-7 0-13 "
        "0-19z", "M47,80c0,8 1,13 1,18c0,5-10,6-11,1c0-7 0-13 0-19z",
    )  # fmt: skip
    sides = (
        "M25,82c0,7-1,12-1,16c0,5 10,6 11,1c0-6 0-10 0-15",
        "M47,82c0,7 1,12 1,16c0,5-10,6-11,1c0-6 0-10 0-15",
    )
    socks = foot if code in ("1F98A", "1F43A") else fur
    layers += [("".join(_path(d, socks) for d in paws), False), ("".join(_line(d) for d in sides), True)]
    return layers


def _machine(shell: str) -> Layers:
    dark = darker(shell, 0.35)
    parts = [
        ("M24,60h24c4,0 6,3 6,6v18c0,4-2,6-6,6h-24c-4,0-6-2-6-6v-18c0-3 2-6 6-6z", shell),
        ("M25,90h8v11h-12c0-4 2-6 4-6z", dark), ("M47,90h-8v11h12c0-4-2-6-4-6z", dark),
        ("M18,66c-6,0-9,5-9,12v6h6v-6c0-3 1-5 "
        "3-5z", dark), ("M54,66c6,0 9,5 9,12v6h-6v-6c0-3-1-5-3-5z", dark),
    ]  # fmt: skip
    detail = _path("M28,67h16v11h-16z", lighter(shell, 0.55))
    colour = "".join(_path(d, c) for d, c in parts) + detail
    lines = "".join(_line(d) for d, _ in parts) + _line("M28,67h16v11h-16z")
    return [(colour, False), (lines, True)]


def person(cloth: str, skin: str) -> Layers:
    """What goes behind a bust: torso, arms, legs and shoes, from the cut at y=61 down."""
    if hls(cloth)[1] < 0.3:
        trousers = lighter(cloth, 0.22)
    else:
        trousers = "#3c4a63" if hls(cloth)[1] > 0.45 else darker(cloth, 0.45)
    arms = "M19,56c-5,4-7,14-7,25h7c0-7 1-13 4-18z", "M53,56c5,4 7,14 7,25h-7c0-7-1-13-4-18z"
    hands = "M12,80h7c1,3 0,6-3.500,6s-4.500-3-3.500-6z", "M53,80h7c1,3 0,6-3.500,6s-4.500-3-3.500-6z"
    torso = "M20,58c0,9 1,18 1,27h30c0-9 1-18 1-27z"
    legs = "M22,84l1,22h10l3-16l3,16h10l1-22z"
    shoes = "M22,105h11v5h-15c0-3 2-5 4-5z", "M50,105h-11v5h15c0-3-2-5-4-5z"
    colour = "".join(_path(d, "#4a3427") for d in shoes) + _path(legs, trousers)
    colour += _path("M29,40h14v14h-14z", skin) + "".join(_path(d, skin) for d in hands) + _path(torso, cloth)
    colour += "".join(_path(d, darker(cloth, 0.1)) for d in arms)
    lines = "".join(_line(d) for d in (*shoes, legs, *hands, *arms, torso))
    return [(colour, False), (lines, True)]


def unicorn(horse: str) -> str:
    """OpenMoji's horse (inner markup) turned white, with a horn and a rainbow mane."""
    white = horse.replace("#a57939", "#f7f3fb").replace("#6a462f", "#d9cfe8")
    mane = (
        _path("M13.500,13c7,0 11,5 15,10c2,2.500 4,4 7,5l-3,3c-5,0-9-3-12-7c-3-4-4-7-8-8z", "#ffa7c0")
        + _path("M14,13c6,2 9,6 13,10c2,2 4,4 7,5l-2,2c-4-1-7-3-10-7c-3-4-4-7-8-10z", "#92d3f5")
        + _path("M57,29c5,2 9,9 8,17c-1,5-1,7 1,10c-5,0-8-4-7-11c0-6-1-10-2-16z", "#b399c8")
    )
    horn = _path("M7.500,14.500L2.500,3.500L11.500,12z", "#fcea2b")
    lines = _line("M7.500,14.500L2.500,3.500L11.500,12") + _line("M14,13c7,0 11,5 15,10c2,2.500 4,4 7,5")
    head, _, tail = white.partition('<g id="line')
    return f'{head}<g id="color-extra">{mane}{horn}</g><g id="line-extra">{lines}</g><g id="line{tail}'


def balloon() -> str:
    """A hot air balloon: OpenMoji has none."""
    envelope = "M36,3C20,3 9,14 9,27c0,11 9,18 18,27h18c9-9 18-16 18-27C63,14 52,3 36,3z"
    gores = (
        _path(envelope, "#ea5a47")
        + _path("M36,3C27,3 20,14 20,27c0,11 6,18 11,27h10c5-9 11-16 11-27C52,14 45,3 36,3z", "#fcea2b")
        + _path("M36,3c-5,0-8,11-8,24c0,11 3,18 6,27h4c3-9 6-16 6-27C44,14 41,3 36,3z", "#ea5a47")
        + _path("M30,61h12v8c0,1-1,2-2,2h-8c-1,0-2-1-2-2z", "#a57939")
    )
    lines = "".join(
        _line(d)
        for d in (envelope, "M29,54l2,7M43,54l-2,7M36,54v7", "M30,61h12v8c0,1-1,2-2,2h-8c-1,0-2-1-2-2z")
    )
    return f'<g id="color">{gores}</g><g id="line">{lines}</g>'


def tree() -> str:
    """A leafy tree with a trunk that carries it: OpenMoji's stands on a wire."""
    trunk = "M30,69c2-6 3-13 2-22l-7-8l3-2l7,6l1-9h3l1,9l6-7l3,2l-7,9c-1,9 0,16 3,22z"
    crown = (
        "M36,2c-7,0-12,4-14,9c-7,0-13,5-13,12c0,3 1,6 3,8c-1,8 6,13 13,11c6,4 16,4 22,0c7,2 14-3 13-11"
        "c2-2 3-5 3-8c0-7-6-12-13-12c-2-5-7-9-14-9z"
    )
    shade = (
        "M50,11c4,9-2,17-9,20c-9,4-19,2-29,0c-1,8 6,13 13,11c6,4 16,4 22,0c7,2 14-3 13-11c2-2 3-5 3-8"
        "c0-7-6-12-13-12z"
    )
    colour = _path(trunk, "#7d5a38") + _path(crown, "#7cb83c") + _path(shade, "#5c9e31")
    lines = (
        _line("M27,69c4-5 5-13 5-22M45,69c-4-5-5-13-4-22")
        + _line(crown)
        + _line("M24,22c1-3 4-5 7-5M44,30c3,0 5-1 6-3")
    )
    return f'<g id="color">{colour}</g><g id="line">{lines}</g>'
