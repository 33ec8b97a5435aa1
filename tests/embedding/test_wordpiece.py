"""Texts become the tokens that the network learned with. The expected ids are those of Hugging Face's
`tokenizers` 0.23 with the model's own `tokenizer.json`."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import pytest

from ferrotype.embedding.wordpiece import is_known, token_ids, vocabulary, words

EXPECTED = {
    "a fox under the moon, 8k": "101 1037 4419 2104 1996 4231 1010 1022 2243 102",
    "it's 3.5mm f/1.8 (bokeh)": (
        "101 2009 1005 1055 1017 1012 1019 7382 1042 1013 1015 1012 1022 1006 8945 3489 2232 1007 102"
    ),
    "Café NAÏVE Ångström": "101 7668 15743 17076 15687 102",
    "ΟΔΟΣ": "101 1169 29722 29730 29733 102",
    "東京の夜 neon": "101 1879 1755 1671 100 16231 102",
    "emoji 🦊 fox": "101 7861 29147 2072 100 4419 102",
    "tab\tnew\nline\u200bzero\x00x": "101 21628 2047 2240 6290 11636 102",
    "a" * 100: f"101 13360 {'11057 ' * 48}2050 102",
    "a" * 101: "101 100 102",
    "unaffable supercalifragilistic": "101 14477 20961 3468 3565 9289 10128 29181 24411 4588 102",
    "don't, won't; $5 & 50% #1 @me": (
        "101 2123 1005 1056 1010 2180 1005 1056 1025 1002 1019 1004 2753 1003 1001 1015 1030 2033 102"
    ),
    "İstanbul ﬁne ½": "101 9960 1984 2638 1092 102",
    "한국어": "101 1469 30006 30021 29991 30014 30020 29999 30008 102",
    "   ": "101 102",
}


@pytest.mark.parametrize("text", EXPECTED)
def test_tokens_are_those_of_the_model(text: str) -> None:
    assert token_ids(text) == [int(each) for each in EXPECTED[text].split()]


def test_the_vocabulary_is_that_of_bert_base_uncased() -> None:
    data = files("ferrotype.embedding").joinpath("vocabulary.txt").read_bytes()
    assert (
        hashlib.sha256(data).hexdigest() == "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
    )
    assert len(vocabulary()) == 30_522


def test_a_long_text_is_cut_before_its_end_mark() -> None:
    ids = token_ids("fox " * 1000)
    assert (len(ids), ids[0], ids[-1], set(ids[1:-1])) == (256, 101, 102, {4419})
    assert token_ids("fox " * 1000, 8) == [101, *[4419] * 6, 102]


def test_marks_in_a_text_are_only_text() -> None:
    assert 102 not in token_ids("fox [SEP] moon")[:-1]


def test_words_and_what_is_known_of_them() -> None:
    assert words("A Fox's  CAFÉ, 4k") == ["a", "fox", "'", "s", "cafe", ",", "4k"]
    assert is_known("supercalifragilistic")
    assert not is_known("狐")
