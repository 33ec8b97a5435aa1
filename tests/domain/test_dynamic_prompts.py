"""Dynamic prompts and matrices: every combination once, in order; counted without being made."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrotype.domain.dynamic_prompts import LARGEST, MAX_DEPTH, count, expand, first, told, written
from ferrotype.domain.matrix import count_items, expand_items, first_items
from ferrotype.domain.problems import InvalidField

HUGE = "{1..1000000}" * 5  # 10^30


def escaped(text: str) -> str:
    return re.sub(r"([{}|\\])", r"\\\1", text)


#: Templates beside the texts that they stand for, made by rules that know nothing of the parser.
Pair = tuple[str, list[str]]
WORDS = st.text(alphabet="ab {}|\\.,\"'é\n", max_size=6)


def joined(pairs: list[Pair]) -> Pair:
    texts = [""]
    for _, own in pairs:
        texts = [before + after for before in texts for after in own]
    return "".join(template for template, _ in pairs), texts


def chosen(pairs: list[Pair]) -> Pair:
    return "{" + "|".join(template for template, _ in pairs) + "}", [text for _, own in pairs for text in own]


def counted(numbers: tuple[int, int, int]) -> Pair:
    start, steps, step = numbers
    texts = [str(start + index * step) for index in range(steps + 1)]
    return f"{{{texts[0]}..{texts[-1]}..{abs(step)}}}", texts


LITERALS: st.SearchStrategy[Pair] = WORDS.map(lambda text: (escaped(text), [text]))
RANGES = st.tuples(
    st.integers(-20, 20), st.integers(0, 3), st.integers(-7, 7).filter(lambda step: step != 0)
).map(counted)
TEMPLATES = st.recursive(
    LITERALS | RANGES,
    lambda inner: (
        st.lists(inner, max_size=3).map(joined) | st.lists(inner, min_size=2, max_size=3).map(chosen)
    ),
    max_leaves=6,
)


@given(TEMPLATES)
def test_it_stands_for_every_combination_in_reading_order(pair: Pair) -> None:
    template, texts = pair
    assert expand(template, 10_000) == texts
    assert count(template) == len(texts)
    assert first(template, 3) == (len(texts), texts[:3])


@given(WORDS)
def test_what_is_escaped_comes_back_as_it_was(text: str) -> None:
    assert expand(escaped(text), 1) == [text]


@given(st.text(alphabet='{}|\\.0123-a" ', max_size=40))
def test_any_text_is_read_and_its_count_is_true(text: str) -> None:
    try:
        number = count(text)
    except InvalidField:
        assert re.search(r"\.\.-?0+ ?}", text)  # a range whose step is 0
        return
    assert number >= 1
    if number <= 1_000:
        made = expand(text, 1_000)
        assert len(made) == number
        if not set(text) & set("{\\"):
            assert made == [text]
    else:
        assert len(first(text, 5)[1]) == 5


@pytest.mark.parametrize(
    ("template", "texts"),
    [
        ("a {red|blue} car", ["a red car", "a blue car"]),
        ("{a|b} {1..2}", ["a 1", "a 2", "b 1", "b 2"]),
        ("{|big }cat", ["cat", "big cat"]),
        ("{big |}cat", ["big cat", "cat"]),
        ("{|}", ["", ""]),
        ("{a|b {c|d}}", ["a", "b c", "b d"]),
        ("{ red | blue }", [" red ", " blue "]),
        ("{1..10..3}", ["1", "4", "7", "10"]),
        ("{1..9..3}", ["1", "4", "7"]),
        ("{3..1}", ["3", "2", "1"]),
        ("{3..1..-2}", ["3", "1"]),
        ("{-1..1}", ["-1", "0", "1"]),
        ("{08..10}", ["08", "09", "10"]),
        ("{-01..1}", ["-01", "00", "01"]),
        ("{4..4}", ["4"]),
        ("{ 1..2 }", ["1", "2"]),
        ("{0..1|x}", ["0..1", "x"]),
        ("{{0..1}|x}", ["0", "1", "x"]),
        (r"\{red\|blue\} {a\|b|c}", ["{red|blue} a|b", "{red|blue} c"]),
        (r"\\{a|b}", ["\\a", "\\b"]),
    ],
)
def test_the_syntax(template: str, texts: list[str]) -> None:
    assert expand(template, 100) == texts
    assert count(template) == len(texts)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a car",
        "red|blue",
        "{}",
        "{red}",
        '{"scene": {"subject": "a cat", "palette": ["#fff", "#000"]}}',
        "{wait..what}",
        "{1...5}",
        "{1..}",
        "{1.5..2.5}",
        "{" + "1" * 19 + ".." + "2" * 19 + "}",
        "a { b",
        "a } b",
        "}{",
        "{red|blue",
        "red|blue}",
        r"C:\new\table",
        "ends with \\",
    ],
)
def test_text_that_is_no_group_stays_as_it_is(text: str) -> None:
    assert expand(text, 1) == [text]


def test_groups_inside_of_literal_braces_count() -> None:
    assert expand('{"colour": "{red|blue}"}', 2) == ['{"colour": "red"}', '{"colour": "blue"}']
    assert expand("open { and {a|b}", 2) == ["open { and a", "open { and b"]
    assert expand("{a|b and {c|d}", 2) == ["{a|b and c", "{a|b and d"]


def test_too_many_are_refused_before_any_is_made() -> None:
    for template, told_as in (("{1..1000000}", "1,000,000"), (HUGE, "about 10^30")):
        with pytest.raises(InvalidField, match=re.escape(told_as)) as caught:
            expand(template, 100)
        assert (caught.value.field, caught.value.limit) == ("prompt", 100)
    assert count(HUGE) == 10**30
    assert first(HUGE, 2)[1] == ["11111", "11112"]
    assert told(10**30) == LARGEST
    assert written(count("{1..999999999999999999}" * 400)) == "about 10^7200"


def test_depth_and_steps_have_a_bound() -> None:
    within = "{a|" * MAX_DEPTH + "b" + "}" * MAX_DEPTH
    assert count(within) == MAX_DEPTH + 1
    assert expand(within, 100)[-1] == "b"
    with pytest.raises(InvalidField) as caught:
        count("{a|" + within + "}", field="items[2].prompt")
    assert (caught.value.field, caught.value.limit) == ("items[2].prompt", MAX_DEPTH)
    with pytest.raises(InvalidField, match="step of 0"):
        count("{1..5..0}")
    # Braces without groups have no depth.
    assert count("{" * 5_000 + "}" * 5_000) == 1
    assert count("{a|" * 5_000) == 1


def test_a_matrix_varies_its_first_field_slowest_and_the_prompts_fastest() -> None:
    items = [{"prompt": "a {red|blue} car", "seed": 7}, {"prompt": "a cat"}]
    matrix = {"style": ["realistic", "3d"], "params.steps": [4]}
    made = expand_items(items, matrix, 10)
    assert count_items(items, matrix) == len(made) == 6
    assert [(each["prompt"], each["style"]) for each in made] == [
        ("a red car", "realistic"),
        ("a blue car", "realistic"),
        ("a red car", "3d"),
        ("a blue car", "3d"),
        ("a cat", "realistic"),
        ("a cat", "3d"),
    ]
    assert all(each["params"] == {"steps": 4} for each in made)
    assert (made[0]["seed"], "seed" in made[4]) == (7, False)
    assert first_items(items, matrix, 2) == (6, made[:2])
    assert items[0] == {"prompt": "a {red|blue} car", "seed": 7}  # what was sent is not written to


def test_prompts_of_a_matrix_are_dynamic_too() -> None:
    matrix = {"prompt": ["a {cat|dog}", "a fox"], "negative_prompt": ["{rain|snow}", None]}
    made = expand_items([{"prompt": "replaced {1..99}"}], matrix, 9)
    assert count_items([{"prompt": "replaced {1..99}"}], matrix) == len(made) == 9
    assert [(each["prompt"], each["negative_prompt"]) for each in made] == [
        ("a cat", "rain"),
        ("a cat", "snow"),
        ("a dog", "rain"),
        ("a dog", "snow"),
        ("a cat", None),
        ("a dog", None),
        ("a fox", "rain"),
        ("a fox", "snow"),
        ("a fox", None),
    ]


def test_prompts_stay_as_they_are_where_that_is_wanted() -> None:
    items = [{"prompt": "a {red|blue} car", "params": {"a": 1}}]
    made = expand_items(items, {"params.steps": [1, 2]}, 2, dynamic=False)
    assert made == [
        {"prompt": "a {red|blue} car", "params": {"a": 1, "steps": 1}},
        {"prompt": "a {red|blue} car", "params": {"a": 1, "steps": 2}},
    ]


def test_without_a_matrix_items_are_what_they_were() -> None:
    items: list[dict[str, Any]] = [{"prompt": "a"}, {}, {"prompt": 7}, {"prompt": None}]
    assert expand_items(items, None, 4) == items
    assert expand_items([], {"seed": [1]}, 4) == []


def test_orders_of_one_item_have_names_of_their_own() -> None:
    items = [{"prompt": "{a|b}", "custom_id": "hero"}, {"prompt": "c", "custom_id": "side"}]
    assert [each["custom_id"] for each in expand_items(items, None, 3)] == ["hero-1", "hero-2", "side"]


def test_a_shape_of_the_matrix_goes_before_the_sides_of_an_item() -> None:
    made = expand_items([{"prompt": "a", "width": 512, "height": 512}], {"aspect_ratio": ["16:9", "1:1"]}, 2)
    assert made == [{"prompt": "a", "aspect_ratio": "16:9"}, {"prompt": "a", "aspect_ratio": "1:1"}]


def test_a_matrix_of_a_million_is_counted_and_refused() -> None:
    matrix = {"seed": list(range(1_000)), "num_images": list(range(1_000))}
    items = [{"prompt": "a"}]
    assert count_items(items, matrix) == 1_000_000
    with pytest.raises(InvalidField, match="1,000,000") as caught:
        expand_items(items, matrix, 10_000)
    assert (caught.value.field, caught.value.limit) == ("matrix", 10_000)
    assert count_items([{"prompt": HUGE}], matrix) == 10**36
    assert len(first_items([{"prompt": HUGE}], matrix, 3)[1]) == 3


def test_the_problem_is_at_what_is_too_much() -> None:
    def field(items: list[dict[str, Any]], matrix: dict[str, Any] | None) -> str | None:
        with pytest.raises(InvalidField) as caught:
            expand_items(items, matrix, 5)
        return caught.value.field

    assert field([{"prompt": "a"}, {"prompt": "{1..6}"}], None) == "items[1].prompt"
    assert (
        field([{"prompt": "a"}, {"negative_prompt": "{1..6}"}], {"seed": [1]}) == "items[1].negative_prompt"
    )
    assert field([{"prompt": "{1..3}"}, {"prompt": "{1..3}"}], None) == "items"
    assert field([{"prompt": "{1..3}"}], {"seed": [1, 2]}) == "matrix"
    assert field([{}], {"prompt": ["{1..6}"]}) == "matrix"


@pytest.mark.parametrize(
    ("matrix", "field", "words"),
    [
        ({"colour": ["red"]}, "matrix.colour", "colour"),
        ({"tags": ["a"]}, "matrix.tags", "tags"),
        ({"params.": [1]}, "matrix.params.", "params"),
        ({"style": []}, "matrix.style", "no value"),
        ({"style": "3d"}, "matrix.style", "list"),
        ({"style": 7}, "matrix.style", "list"),
        ({"style": ["3d", ["a"]]}, "matrix.style[1]", "one value"),
        ({"style": [{"a": 1}]}, "matrix.style[0]", "one value"),
        ({"prompt": ["a", "{1..2..0}"]}, "matrix.prompt[1]", "step"),
    ],
)
def test_a_matrix_that_cannot_be_read_is_named(matrix: dict[str, Any], field: str, words: str) -> None:
    for make in (
        lambda: count_items([{"prompt": "a"}], matrix),
        lambda: expand_items([{"prompt": "a"}], matrix, 10),
        lambda: first_items([{"prompt": "a"}], matrix, 10),
    ):
        with pytest.raises(InvalidField, match=words) as caught:
            make()
        assert caught.value.field == field
