"""Names of files in archives: readable, safe everywhere, each once, and the same every time."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from pathlib import Path, PureWindowsPath
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ferrotype.domain.asset import Asset
from ferrotype.domain.generation import Generation
from ferrotype.domain.ids import new_id
from ferrotype.domain.media import extension
from ferrotype.domain.states import AssetState, GenerationState
from ferrotype.services.download_names import archive_name, slug, stems

NOW = datetime(2026, 7, 1, tzinfo=UTC)
#: What Windows cannot have in a name, and every control character.
FORBIDDEN = set('<>:"/\\|?*') | {chr(code) for code in range(32)} | {"\x7f"}
DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(10))}

prompts = st.one_of(
    st.text(max_size=300),
    st.text(alphabet=st.characters(min_codepoint=32), max_size=40),
    st.lists(
        st.sampled_from(
            ["Fox", "fox", "FUCHS", "Füchse", "狐", "../", "CON", "a.b", "🦊", "É", "ß", "ss", "ﬁx", "fix"]
        )
    ).map(" ".join),
)


def generation(prompt: str, operation: str = "generate") -> Generation:
    return Generation(
        id=new_id(),
        account_id="ada",
        status=GenerationState.SUCCEEDED,
        operation=operation,
        model="local/illustrator",
        input={"prompt": prompt},
        num_images=10,
        class_="light",
        credits_each=1,
        usd_each=0.0,
        created_at=NOW,
    )


def asset(made_by: Generation | None = None, index: int | None = None, id: str | None = None) -> Asset:
    return Asset(
        id=id or new_id(),
        account_id="ada",
        state=AssetState.READY,
        generation_id=made_by.id if made_by else None,
        index=index,
        created_at=NOW,
    )


def name_of(prompt: str, index: int = 3, operation: str = "generate") -> str:
    made_by = generation(prompt, operation)
    one = asset(made_by, index)
    return stems([one], {made_by.id: made_by})[one.id]


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a fox under the moon", "03-a-fox-under-the-moon"),
        ("  A Fox,\n(very) red!  ", "03-a-fox-very-red"),
        ("the fox's den", "03-the-foxs-den"),
        ("Füchse im Schnee", "03-füchse-im-schnee"),
        ("Fu\u0308chse", "03-füchse"),
        ("狐と月", "03-狐と月"),
        ("हिन्दी", "03-हिन्दी"),
        ("../../etc/passwd", "03-etc-passwd"),
        ("C:\\CON", "03-c-con"),
        (".hidden", "03-hidden"),
        ("\u202egpj.exe", "03-gpj-exe"),
        ("🦊🌙", "03-generate"),
        ("\u3164\u115f", "03-generate"),
        ("\u0301", "03-generate"),
        ("", "03-generate"),
        ("\ud800fox", "03-fox"),
        ("a" * 200, "03-" + "a" * 60),
        ("long " * 30, "03-" + "-".join(["long"] * 12)),
        (
            "the quick brown fox jumps over the lazy dogs and then some more",
            "03-the-quick-brown-fox-jumps-over-the-lazy-dogs-and-then-some",
        ),
        ("狐" * 60, "03-" + "狐" * 26),
    ],
)
def test_names_of_generated_pictures(prompt: str, name: str) -> None:
    assert name_of(prompt) == name


def test_uploads_are_called_by_their_id() -> None:
    one = asset()
    assert stems([one], {}) == {one.id: one.id}


def test_a_picture_without_a_prompt_is_called_by_its_operation() -> None:
    assert name_of("", operation="upscale") == "03-upscale"


@given(prompts, st.integers(0, 99))
@example("con", 0)
@example(".", 0)
@example("a" * 59 + "-b", 0)
def test_a_name_is_safe(prompt: str, index: int) -> None:
    name = f"{name_of(prompt, index)}.webp"
    assert not set(name) & FORBIDDEN
    assert name == unicodedata.normalize("NFC", name)
    assert not any(unicodedata.category(char)[0] in "CZ" for char in name)
    assert not name.startswith((".", "-", " "))
    assert PureWindowsPath(name).name == Path(name).name == name
    assert PureWindowsPath(name).stem.split(".")[0].upper() not in DEVICES
    assert not PureWindowsPath(name).stem.endswith((".", " ", "-"))
    # With the whole id behind it, it still fits the strictest file system that is in use.
    assert len(name.encode()) + 37 <= 143


@given(prompts)
def test_a_slug_is_a_slug_of_itself(text: str) -> None:
    assert slug(slug(text)) == slug(text)


class Ids:
    """Ids of which several end alike."""

    SHARED = st.sampled_from(["0190a000", "0190a001", "0190a002"])
    ENDS = st.sampled_from(["0000aaaa", "0000bbbb"])


@st.composite
def collections(draw: st.DrawFn) -> tuple[list[Asset], dict[str, Generation]]:
    made = [generation(draw(prompts)) for _ in range(draw(st.integers(1, 4)))]
    ids = draw(
        st.lists(
            st.builds(
                lambda start, middle, end: f"{start}-0000-7000-8000-{middle:04x}{end}",
                Ids.SHARED,
                st.integers(0, 3),
                Ids.ENDS,
            ),
            min_size=1,
            max_size=10,
            unique=True,
        )
    )
    pictures = [
        asset(draw(st.sampled_from([None, *made])), draw(st.sampled_from([0, 0, 1, None])), id) for id in ids
    ]
    return pictures, {each.id: each for each in made}


@given(collections(), st.randoms(use_true_random=False))
def test_names_are_unique_and_do_not_depend_on_the_order(
    world: tuple[list[Asset], dict[str, Generation]], random: Random
) -> None:
    pictures, made = world
    names = stems(pictures, made)
    assert set(names) == {each.id for each in pictures}
    alike = {unicodedata.normalize("NFKC", name).casefold() for name in names.values()}
    assert len(alike) == len(pictures), names
    shuffled = list(pictures)
    random.shuffle(shuffled)
    assert stems(shuffled, made) == names


def test_where_names_would_be_the_same_each_gets_the_end_of_its_id() -> None:
    first, second, other = generation("A fox"), generation("a FOX"), generation("a wolf")
    made = {each.id: each for each in (first, second, other)}
    one = asset(first, 0, "0190a000-0000-7000-8000-00001111aaaa")
    two = asset(second, 0, "0190a000-0000-7000-8000-00002222bbbb")
    three = asset(other, 0)
    assert stems([one, two, three], made) == {
        one.id: "00-a-fox-1111aaaa",
        two.id: "00-a-fox-2222bbbb",
        three.id: "00-a-wolf",
    }
    assert stems([one, three], made)[one.id] == "00-a-fox"


@pytest.mark.parametrize(
    ("one", "other"), [("Straße", "STRASSE"), ("ﬁne", "fine"), ("e\u0301", "\u00e9"), ("x²", "x2")]
)
def test_names_that_are_the_same_to_some_file_system(one: str, other: str) -> None:
    made = [generation(one), generation(other)]
    pictures = [asset(each, 0) for each in made]
    names = stems(pictures, {each.id: each for each in made})
    assert all(names[each.id].endswith(each.id[-8:]) for each in pictures)


def test_where_the_end_of_the_id_is_the_same_too_it_is_the_whole_id() -> None:
    first, second = generation("a fox"), generation("a fox")
    made = {first.id: first, second.id: second}
    one = asset(first, 0, "0190a000-0000-7000-8000-00011111aaaa")
    two = asset(second, 0, "0190a000-0000-7000-8000-00021111aaaa")
    assert set(stems([one, two], made).values()) == {f"00-a-fox-{one.id}", f"00-a-fox-{two.id}"}


def test_a_prompt_that_looks_like_another_ones_long_name() -> None:
    twins = [generation("fox"), generation("fox"), generation("fox 1111aaaa")]
    made = {each.id: each for each in twins}
    pictures = [
        asset(twins[0], 0, "0190a000-0000-7000-8000-00001111aaaa"),
        asset(twins[1], 0, "0190a000-0000-7000-8000-00002222bbbb"),
        asset(twins[2], 0, "0190a000-0000-7000-8000-00003333cccc"),
    ]
    assert len(set(stems(pictures, made).values())) == 3


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        (None, "pictures.zip"),
        ("", "pictures.zip"),
        (" . ", "pictures.zip"),
        ("/", "pictures.zip"),
        ("My holiday", "My holiday.zip"),
        ("My holiday.zip", "My holiday.zip"),
        ("My holiday.ZIP", "My holiday.zip"),
        ("a/b\\c:d", "a b c d.zip"),
        ("../../etc/passwd", "etc passwd.zip"),
        ("CON", "_CON.zip"),
        ("nul.tar", "_nul.tar.zip"),
        ("COM¹", "_COM¹.zip"),
        ("Füchse 🦊", "Füchse 🦊.zip"),
        ('"quoted"\r\nX-Evil: 1', "quoted X-Evil 1.zip"),
        ("x" * 300, "x" * 200 + ".zip"),
        ("\ud800", "pictures.zip"),
        ("v1.2", "v1.2.zip"),
    ],
)
def test_the_archive_is_called_as_wished(wish: str | None, name: str) -> None:
    assert archive_name(wish, "pictures") == name


@given(st.text(max_size=300))
def test_an_archives_name_is_safe(wish: str) -> None:
    name = archive_name(wish, "pictures")
    assert name.endswith(".zip")
    assert not set(name) & FORBIDDEN
    assert not name.startswith((".", " "))
    stem = name.removesuffix(".zip")
    assert stem.strip(" .") == stem != ""
    assert stem.split(".")[0].rstrip().upper() not in DEVICES
    assert len(name.encode()) <= 205


def test_extensions() -> None:
    assert [extension(kind) for kind in ("image/webp", "image/jpeg", "image/png", "text/html", None)] == [
        *("webp", "jpg", "png", "bin", "bin")
    ]
