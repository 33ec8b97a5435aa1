"""The styles as data: every knob that makes one look unlike another."""

from __future__ import annotations

from dataclasses import dataclass

from .artwork import LineStyle


@dataclass(frozen=True, slots=True)
class Look:
    """How one style treats the parts of a picture.

    `outline` and `ink` shape the subjects' lines (ink: the subject's own dark tone instead of black);
    `relief` is
    how much volume their flat fills get and `gloss` how much shine; `flat` and `clay` steer the backdrop;
    `detail` is the scale at which the backdrop is drawn, `focus` its blur far away (hundredths of the shorter
    side); `shadow` is (opacity, softness); `texture` mottles, `grain` is film grain,
    `vignette` darkens corners,
    `bloom` lets light bleed, `paint` turns everything into brush strokes,
    `mirror` reflects in a polished floor.
    """

    name: str
    outline: float = 1.0
    ink: bool = False
    relief: float = 0.0
    gloss: float = 0.0
    rim: float = 0.0
    flat: bool = False
    clay: bool = False
    detail: float = 1.0
    focus: float = 0.0
    shadow: tuple[float, float] = (0.3, 1.0)
    texture: float = 0.0
    grain: float = 0.0
    vignette: float = 0.0
    bloom: float = 0.0
    paint: bool = False
    mirror: float = 0.0
    saturation: float = 1.0
    contrast: float = 1.0

    def line(self, ink: str, wiry: bool = False) -> LineStyle:
        """The outline of a subject whose own dark tone is `ink`; a wiry one (stems, spokes) is mostly
        lines."""
        return LineStyle(max(self.outline, 0.62) if wiry else self.outline, ink if self.ink else "#22232b")


_NEUTRAL = Look(
    "neutral", outline=0.62, ink=True, relief=0.4, rim=0.2, shadow=(0.34, 1.0), vignette=0.12, detail=0.75
)
LOOKS: dict[str, Look] = {
    "realistic": Look(
        "realistic", outline=0.34, ink=True, relief=1.15, gloss=0.22, rim=0.6, detail=0.5, focus=0.75,
        shadow=(0.5, 1.3), texture=0.5, grain=5.0, vignette=0.4, bloom=0.5, saturation=0.88, contrast=1.06,
    ),
    "artistic": Look(
        "artistic", outline=0.4, ink=True, relief=0.55, detail=0.4, shadow=(0.42, 1.2), paint=True,
        saturation=1.1, contrast=1.04,
    ),
    "illustration": Look("illustration", outline=0.66, flat=True, shadow=(0.2, 0.0), saturation=1.06),
    "3d": Look(
        "3d", outline=0.26, ink=True, relief=1.7, gloss=0.85, rim=0.7, clay=True, detail=0.66, focus=0.35,
        shadow=(0.46, 0.9), vignette=0.2, bloom=0.22, mirror=0.16, saturation=1.1,
    ),
}  # fmt: skip


def look_for(style: str | None) -> Look:
    """The look of a style name; an unknown one or None is the neutral look."""
    return LOOKS.get((style or "").strip().lower(), _NEUTRAL)
