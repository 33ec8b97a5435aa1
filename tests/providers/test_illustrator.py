"""The illustrator through its public API: what it reads, what it draws, and that no text can hurt it."""

from __future__ import annotations

import threading

import pytest
import pyvips
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ferrotype.providers.illustrator import CREDIT, ILLUSTRATOR_VERSION, Scene, Subject, describe, illustrate

STYLES = (None, "realistic", "artistic", "illustration", "3d")
SIDE = 256


def draw(prompt: str, seed: int = 1, width: int = SIDE, height: int = SIDE, **extra: str) -> pyvips.Image:
    return illustrate(prompt, width=width, height=height, seed=seed, **extra)


def pixels(image: pyvips.Image) -> bytes:
    return bytes(image.write_to_memory())


def distance(a: pyvips.Image, b: pyvips.Image) -> float:
    """Mean absolute difference per channel, 0-255."""
    return float((a.cast("float") - b.cast("float")).abs().avg())


def share(image: pyvips.Image, test: pyvips.Image) -> float:
    """The fraction of pixels where `test` (a boolean band) holds."""
    return float(test.avg()) / 255


def named(scene: Scene) -> dict[str, Subject]:
    return {s.name: s for s in scene.subjects}


# --- reading


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a fox under the moon", {"fox": 1}),
        ("three red apples", {"apple": 3}),
        ("5 cats", {"cat": 5}),
        ("a dozen eggs", {"egg": 12}),
        ("half a dozen eggs", {"egg": 6}),
        ("two dozen roses", {"rose": 24}),
        ("a pair of boots", {"boot": 2}),
        ("twenty mice", {"mouse": 20}),
        ("99 balloons", {"balloon": 24}),
        ("two wolves and one sheep", {"wolf": 2, "sheep": 1}),
        ("four strawberries, two cherries", {"strawberry": 4, "cherry": 2}),
        ("three geese", {"goose": 3}),
        ("six butterflies", {"butterfly": 6}),
        ("two boxes", {"box": 2}),
        ("a flock of birds", {"bird": 9}),
        ("a kitten and a puppy", {"cat": 1, "dog": 1}),
        ("an automobile", {"car": 1}),
        ("a hot dog", {"hot dog": 1}),
        ("a polar bear", {"polar bear": 1}),
        ("a bear", {"bear": 1}),
        ("a fire truck", {"fire truck": 1}),
        ("a hot-air balloon", {"hot air balloon": 1}),
        ("ice cream", {"ice cream": 1}),
        ("a T-Rex", {"t rex": 1}),
        ("a piñata", {"pinata": 1}),
        ("🦊 and 🌵", {"fox": 1, "cactus": 1}),
        ("the wizard's castle", {"wizard": 1, "castle": 1}),
        ("a king and a queen", {"king": 1, "princess": 1}),
    ],
)
def test_subjects_and_counts(prompt: str, expected: dict[str, int]) -> None:
    assert {s.name: s.count for s in describe(prompt, 1).subjects} == expected


def test_bare_plural_is_several() -> None:
    counts = {describe("apples", seed).subjects[0].count for seed in range(20)}
    assert counts <= {2, 3, 4}
    assert len(counts) > 1


@pytest.mark.parametrize(
    ("prompt", "red", "plain"),
    [
        ("red apples, a blue car", "apple", None),
        ("a red car and a dog", "car", "dog"),
        ("a dog and a red car", "car", "dog"),
        ("a dog, the car is red", None, "dog"),
        ("a small red house next to a tree", "house", "tree"),
    ],
)
def test_colour_goes_to_its_noun(prompt: str, red: str | None, plain: str | None) -> None:
    subjects = named(describe(prompt, 1))
    assert subjects[red or "car"].colour == "#d92b2b"
    if plain:
        assert subjects[plain].colour is None


def test_two_colours_of_one_thing_are_two_things() -> None:
    cars = [s.colour for s in describe("a red car and a blue car", 1).subjects]
    assert cars == ["#d92b2b", "#2b6fd6"]


def test_orange_is_a_colour_or_a_fruit() -> None:
    assert [s.name for s in describe("an orange cat", 1).subjects] == ["cat"]
    assert named(describe("two oranges and a cat", 1))["orange"].count == 2
    assert [s.name for s in describe("an orange on a plate", 1).subjects] == ["orange", "plate"]


@pytest.mark.parametrize(
    ("prompt", "setting"),
    [
        ("a cat in a forest", "forest"),
        ("a cat in the snow", "snow"),
        ("a cat in the city", "city"),
        ("a cat in space", "space"),
        ("a cat in the desert", "desert"),
        ("a cat on the beach", "beach"),
        ("a cat in a bedroom", "room"),
        ("a cat on a plain background", "studio"),
        ("a cat on the moon", "moon"),
        ("a cat under the sea", "underwater"),
        ("a boat on the ocean", "sea"),
        ("two fish in the ocean", "underwater"),
        ("a tropical fish", "underwater"),
        ("a penguin", "snow"),
        ("a camel", "desert"),
        ("three red apples", "table"),
        ("a rocket", "space"),
        ("a purple sky over a castle", "meadow"),
        ("snow-covered mountains", "snow"),
    ],
)
def test_setting(prompt: str, setting: str) -> None:
    assert describe(prompt, 1).setting == setting


@pytest.mark.parametrize(
    ("prompt", "hour"),
    [
        ("a cat at night", "night"),
        ("a fox under the moon", "night"),
        ("a cat at sunset", "sunset"),
        ("a cat at sunrise", "morning"),
        ("a cat at dusk", "dusk"),
        ("a cat at golden hour", "golden"),
        ("a cat on a sunny day", "day"),
    ],
)
def test_hour(prompt: str, hour: str) -> None:
    assert {describe(prompt, seed).hour for seed in range(6)} == {hour}


def test_weather_and_sky() -> None:
    scene = describe("a foggy, rainy meadow with lightning, stars and a rainbow", 1)
    assert scene.weather == {"fog", "rain", "storm"}
    assert scene.sky == {"stars", "rainbow"}
    assert describe("a purple sky over a castle", 1).accent == "#8341b5"


def test_sizes_and_relations() -> None:
    scene = describe("a tiny mouse on a huge elephant", 1)
    mouse, elephant = scene.subjects
    assert mouse.size < 0.6 < 1.5 < elephant.size
    assert (elephant.relation, elephant.anchor) == ("on", 0)
    wearing = describe("a bear wearing a top hat", 1).subjects[1]
    assert (wearing.relation, wearing.anchor) == ("wearing", 0)


@pytest.mark.parametrize(
    ("prompt", "negative", "gone", "kept"),
    [
        ("a dog and a cat", "cat", "cat", "dog"),
        ("a dog and a cat", "cats, blurry", "cat", "dog"),
        ("a girl and a dog", "people", "girl", "dog"),
        ("a girl and a dog", "animals", "dog", "girl"),
        ("a house and a cow", "buildings", "house", "cow"),
        ("a dog and no cat", "", "cat", "dog"),
    ],
)
def test_negative_removes_subjects(prompt: str, negative: str, gone: str, kept: str) -> None:
    subjects = named(describe(prompt, 1, negative))
    assert kept in subjects
    assert gone not in subjects


def test_negative_removes_weather_sky_and_keeps_relations_valid() -> None:
    scene = describe("a cat in the rain under a rainbow", 1, "rain, rainbow")
    assert not scene.weather
    assert not scene.sky
    assert not describe("a storm without rain", 1).weather & {"rain"}
    tied = describe("a cat on a sofa next to a dog", 1, "cat")
    assert all(s.anchor is None or s.anchor < len(tied.subjects) for s in tied.subjects)


def test_style_words_draw_nothing_but_choose_a_style() -> None:
    """The words that the catalogue's styles add to a prompt must not turn into things."""
    suffixes = {
        "realistic": "photorealistic, high detail, professional photography",
        "artistic": "artistic, painterly, expressive, creative",
        "illustration": "digital illustration, vector art, clean lines",
        "3d": "3D render, octane render, detailed textures, professional lighting",
    }
    for style, suffix in suffixes.items():
        scene = describe(f"a cat, {suffix}", 1)
        assert [s.name for s in scene.subjects] == ["cat"]
        assert not scene.weather
        assert scene.style == style


# --- drawing


def test_same_order_same_pixels() -> None:
    first = draw("two foxes in the snow", 7, style="realistic")
    assert pixels(first) == pixels(draw("two foxes in the snow", 7, style="realistic"))
    assert ILLUSTRATOR_VERSION
    assert CREDIT["license"] == "CC BY-SA 4.0"


def test_same_pixels_from_many_threads() -> None:
    prompts = ["a fox under the moon", "three red apples", "a whale in the sea", "a robot in a city"]
    alone = [pixels(draw(p, 3)) for p in prompts]
    together: dict[int, bytes] = {}

    def work(i: int) -> None:
        together[i] = pixels(draw(prompts[i], 3))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(prompts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[i] for i in range(len(prompts))] == alone


@pytest.mark.parametrize(
    "prompt", ["a fox under the moon", "three red apples", "mountains", "lorem ipsum dolor"]
)
def test_seeds_differ(prompt: str) -> None:
    pictures = [draw(prompt, seed) for seed in (1, 2, 3)]
    for i, a in enumerate(pictures):
        for b in pictures[i + 1 :]:
            assert distance(a, b) > 8


def test_styles_differ() -> None:
    pictures = {
        style: draw("a dog in a meadow", 5, **({"style": style} if style else {})) for style in STYLES
    }
    for a in STYLES:
        for b in STYLES:
            if a != b:
                assert distance(pictures[a], pictures[b]) > 4, (a, b)


def test_illustration_is_flatter_than_realistic() -> None:
    """Flat art has long runs of one colour; film grain has none."""

    def runs(image: pyvips.Image) -> float:
        right = image.crop(1, 0, image.width - 1, image.height)
        same = (image.crop(0, 0, image.width - 1, image.height) == right).bandand()
        return share(image, same)

    assert runs(draw("a dog in a meadow", 5, style="illustration")) > 0.5
    assert runs(draw("a dog in a meadow", 5, style="realistic")) < 0.2


def test_the_subject_is_in_the_picture() -> None:
    """A red car is red, a blue one is blue, and neither colour is in the scene without them."""

    def reddish(image: pyvips.Image) -> float:
        return share(image, (image[0] > 130) & (image[1] < 70) & (image[2] < 80))

    def bluish(image: pyvips.Image) -> float:
        return share(image, (image[2] > 140) & (image[0] < 70) & (image[1] < 135))

    red, blue = (draw(f"a {c} car on a plain background", 2, style="illustration") for c in ("red", "blue"))
    assert reddish(red) > 0.05 > 0.01 > reddish(blue)
    assert bluish(blue) > 0.05 > 0.01 > bluish(red)


def test_more_copies_cover_more_of_the_picture() -> None:
    def orange(image: pyvips.Image) -> float:
        return share(image, (image[0] > 200) & (image[1] > 120) & (image[1] < 200) & (image[2] < 100))

    prompt = "{} on a white background"
    one = draw(prompt.format("a tiny orange cat"), 3, style="illustration")
    many = draw(prompt.format("twelve orange cats"), 3, style="illustration")
    assert orange(many) > 2 * orange(one) > 0


def test_night_is_darker_than_day() -> None:
    assert draw("a cat in a field at night").avg() + 40 < draw("a cat in a field at noon").avg()


@pytest.mark.parametrize(
    ("width", "height"),
    [
        (256, 256),
        (512, 288),
        (288, 512),
        (341, 256),
        (256, 341),
        (333, 257),
        (2048, 256),
        (256, 2048),
        (1024, 1024),
    ],
)
def test_every_size_is_exact(width: int, height: int) -> None:
    image = draw("two boats on a lake", 1, width, height)
    assert (image.width, image.height) == (width, height)
    assert (image.bands, image.format, image.interpretation) == (3, "uchar", "srgb")


@pytest.mark.parametrize("style", STYLES)
def test_every_style_at_an_odd_size(style: str | None) -> None:
    extra = {"style": style} if style else {}
    image = draw("a girl with a balloon, two dogs and a sailboat at sunset in the rain", 4, 411, 293, **extra)
    assert (image.width, image.height) == (411, 293)


def test_an_unknown_style_is_the_neutral_one() -> None:
    assert pixels(draw("a cat", style="nonsense")) == pixels(draw("a cat"))


@pytest.mark.parametrize("size", [(0, 256), (256, 63), (5000, 256)])
def test_impossible_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="must be 64-4096 pixels"):
        draw("a cat", 1, *size)


def test_every_setting_draws() -> None:
    places = (
        "meadow,forest,jungle,savanna,mountains,snow,sea,lake,pond,underwater,beach,desert,city,road,"
        "outer space,moon surface,room,table,studio,clouds in the sky,abstract"
    )
    for i, place in enumerate(places.split(",")):
        style = STYLES[i % len(STYLES)]
        image = draw(f"a cat, a boat and a bird, {place}", i, **({"style": style} if style else {}))
        assert image.deviate() > 8, place


# --- progress and cancel


def test_progress_rises_and_previews_are_small_jpegs() -> None:
    told: list[tuple[float, bytes | None]] = []
    illustrate(
        "a fox under the moon", width=512, height=384, seed=1, style="artistic",
        on_progress=lambda fraction, preview: told.append((fraction, preview)),
    )  # fmt: skip
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert len(set(fractions)) >= 5
    previews = [preview for _, preview in told if preview]
    assert len(previews) >= 3
    for preview in previews:
        image = pyvips.Image.jpegload_buffer(preview)
        assert max(image.width, image.height) <= 256
    assert previews[0] != previews[-1]


class Stop(Exception):
    pass


@pytest.mark.parametrize("after", [0, 1, 3, 5])
def test_what_progress_raises_stops_the_drawing(after: int) -> None:
    calls: list[float] = []

    def stop(fraction: float, preview: bytes | None) -> None:
        calls.append(fraction)
        if len(calls) > after:
            raise Stop

    with pytest.raises(Stop):
        illustrate("four cats", width=SIDE, height=SIDE, seed=1, on_progress=stop)
    assert len(calls) == after + 1


# --- hostile and odd text

ODD = [
    "",
    "   \n\t",
    '"/><script>alert(1)</script><image href="file:///etc/passwd"/>',
    "</svg><svg onload=x> red apple & <circle r='9'/> &amp; &#x41; ]]> <!-- -->",
    "cat\x00dog\ufffe\ud83d",
    "猫と犬が公園で遊ぶ",
    "лиса под луной",
    "قطة تحت القمر",
    "👩‍🚀👨‍👩‍👧‍👦🏳️‍🌈🇩🇪",
    "1234567890 0 00000 3.14 -5 1e9",
    "no no without not never",
    "under on in over behind and with of",
    "red blue green yellow",
    "tiny huge tiny huge cat",
    "a cat " * 9000,
    "x" * 50_000,
    "((((a cat:1.4)))), [dog], {bird|fish} --ar 16:9",
    "a hat in a box on a cat under a car behind a house over a tree in front of a dog wearing a crown",
]


@pytest.mark.parametrize("prompt", ODD, ids=range(len(ODD)))
def test_odd_text_still_gives_a_picture(prompt: str) -> None:
    image = draw(prompt, 1, negative_prompt=prompt[::-1][:200])
    assert (image.width, image.height) == (SIDE, SIDE)
    assert image.deviate() > 8


def test_markup_in_a_prompt_changes_nothing_but_the_draw() -> None:
    """Only the words count: brackets and quotes are no words."""
    assert describe('<g fill="red">a cat</g>', 1).subjects[0].name == "cat"
    assert pixels(draw("a cat")) == pixels(draw('"a" <cat>'))


def test_long_prompts_are_read_in_linear_time() -> None:
    """Ten times the words, about ten times the matching, counted rather than timed."""
    from ferrotype.providers.illustrator import lexicon

    def lookups(words: int) -> int:
        calls = 0
        find = lexicon.find

        def counting(piece: list[str]) -> object:
            nonlocal calls
            calls += 1
            return find(piece)

        lexicon.find = counting  # type: ignore[assignment]
        try:
            describe("strange wide quiet " * (words // 3), 1)
        finally:
            lexicon.find = find
        return calls

    assert lookups(1500) <= 11 * lookups(150)


WORDS = "a two red cats dog under on in the sea moon no tiny wearing hat boat 12 birds over castle , ."


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    prompt=st.one_of(
        st.text(max_size=200),
        st.lists(
            st.sampled_from(WORDS.split()),
            max_size=14,
        ).map(" ".join),
    ),
    seed=st.integers(min_value=0, max_value=2**32),
    style=st.sampled_from(STYLES),
)
def test_no_text_is_an_error(prompt: str, seed: int, style: str | None) -> None:
    image = illustrate(prompt, width=SIDE, height=SIDE, seed=seed, style=style)
    assert (image.width, image.height, image.bands) == (SIDE, SIDE, 3)


@settings(max_examples=150, deadline=None)
@given(prompt=st.text(max_size=300), seed=st.integers(), negative=st.text(max_size=60))
def test_every_text_is_a_scene(prompt: str, seed: int, negative: str) -> None:
    scene = describe(prompt, seed, negative)
    assert sum(s.count for s in scene.subjects) <= 32
    assert all(1 <= s.count <= 24 for s in scene.subjects)
    assert scene == describe(prompt, seed, negative)


def test_other_alphabets_are_told_apart() -> None:
    """Words that nobody here can read still steer the picture."""
    assert distance(draw("猫"), draw("москва")) > 4
