"""Text to token ids as BERT reads it: cleaned, lowered, split into words, each into its longest known pieces.

After google-research/bert, `tokenization.py` (BasicTokenizer, WordpieceTokenizer); `vocabulary.txt` is that
of `bert-base-uncased` (Apache-2.0).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Final

#: Tokens of a text, its marks included; what is longer is cut (the model's `max_seq_length`).
MAX_TOKENS: Final = 256
#: Words that are longer are one unknown token.
MAX_WORD: Final = 100
CLS, SEP, UNKNOWN = "[CLS]", "[SEP]", "[UNK]"
#: Written one by one, as if a space stood on both sides (the blocks that BERT calls Chinese).
IDEOGRAPHS: Final = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


@cache
def vocabulary() -> dict[str, int]:
    """Piece -> id; pieces inside a word begin with `##`."""
    text = files(__package__).joinpath("vocabulary.txt").read_text(encoding="utf-8")
    return {piece: number for number, piece in enumerate(text.splitlines())}


def token_ids(text: str, limit: int = MAX_TOKENS) -> list[int]:
    """The ids of a text between a beginning and an end mark; what is beyond `limit` of them is cut."""
    known = vocabulary()
    found = [known[CLS]]
    for word in _split(text):
        found += _pieces(word, known)
        if len(found) >= limit - 1:
            break
    return [*found[: limit - 1], known[SEP]]


def words(text: str) -> list[str]:
    """The words and signs of a text, in lower case and without accents."""
    return list(_split(text))


def is_known(word: str) -> bool:
    """Whether a word can be put together from the pieces there are; all others look the same to BERT."""
    known = vocabulary()
    return _pieces(word, known) != [known[UNKNOWN]]


def _split(text: str) -> Iterator[str]:
    for chunk in _normal(text).split():
        start = 0
        for at, character in enumerate(chunk):
            if _is_punctuation(character):
                if start < at:
                    yield chunk[start:at]
                yield character
                start = at + 1
        if start < len(chunk):
            yield chunk[start:]


def _normal(text: str) -> str:
    """Lower case, no accents, no control characters, spaces around ideographs."""
    cleaned: list[str] = []
    for character in text:
        if character in "\t\n\r" or unicodedata.category(character) == "Zs":
            cleaned.append(" ")
        elif _is_ideograph(ord(character)):
            cleaned.append(f" {character} ")
        elif not _is_control(character):
            cleaned.append(character)
    bare = (
        character
        for character in unicodedata.normalize("NFD", "".join(cleaned))
        if unicodedata.category(character) != "Mn"
    )
    # One by one: lowering a whole word would know the end of a Greek one.
    return "".join(character.lower() for character in bare)


def _pieces(word: str, known: dict[str, int]) -> list[int]:
    """The longest pieces from the left; the unknown token where some part of the word has none."""
    if len(word) > MAX_WORD:
        return [known[UNKNOWN]]
    found: list[int] = []
    start = 0
    while start < len(word):
        prefix = "##" if start else ""
        for end in range(len(word), start, -1):
            number = known.get(prefix + word[start:end])
            if number is not None:
                break
        else:
            return [known[UNKNOWN]]
        found.append(number)
        start = end
    return found


def _is_ideograph(point: int) -> bool:
    return point >= 0x3400 and any(first <= point <= last for first, last in IDEOGRAPHS)


def _is_control(character: str) -> bool:
    # What Unicode has not assigned yet stays, and makes its word unknown.
    return character == "\ufffd" or unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs")


def _is_punctuation(character: str) -> bool:
    # BERT counts every ASCII sign that is neither a letter nor a digit, such as `$` and `^`.
    if character.isascii():
        return character.isprintable() and not character.isalnum() and character != " "
    return unicodedata.category(character).startswith("P")
