"""Words as they are compared: in any language, whatever their case and however their letters are composed."""

from __future__ import annotations

from typing import Final
from unicodedata import normalize

#: Form in which two spellings of one text are equal (Unicode 16, 3.13.5, D146).
FORM: Final = "NFKC"


def folded(text: str) -> str:
    """`text` without the difference of case, of composed and decomposed letters, of full and half width."""
    return normalize(FORM, normalize(FORM, text).casefold())


def words(text: str) -> tuple[str, ...]:
    """The folded words of a search, each once, in their order."""
    return tuple(dict.fromkeys(folded(text).split()))
