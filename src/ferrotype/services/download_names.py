"""Names of the files in an archive, and of the archive: for people, and safe on every system.

A name depends on the pictures of the archive and on nothing else: not on their order, the time or what came
of them. So the files of a second download lie on those of the first.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from ferrotype.domain.asset import Asset
from ferrotype.domain.generation import Generation

#: Of a prompt in a name. With the number, the id of the asset and the extension a name stays well below the
#: 255 bytes of Linux file systems, and the 143 of encrypted ones.
MAX_SLUG: Final = 60
MAX_SLUG_BYTES: Final = 80
MAX_STEM_BYTES: Final = 200
#: Digits of an asset's id behind names that would be the same; the last ones, which are random.
SHORT: Final = 8

#: What Windows keeps for devices, whatever the extension.
DEVICES: Final = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"]
)
FORBIDDEN: Final = frozenset('<>:"/\\|?*')
#: Letters that show nothing: a name of them looks empty.
FILLERS: Final = frozenset("\u115f\u1160\u3164\uffa0")


def stems(assets: Iterable[Asset], generations: Mapping[str, Generation]) -> dict[str, str]:
    """The name of each asset's file without its extension, by asset id; no two are the same to a system that
    ignores case, accents' spelling or extensions. `generations` are those that made them, by id.

    A generated picture is called by its index and its prompt, an upload by its id. Where several would have
    the same name, each gets the end of its id, where that is not enough the whole of it.
    """
    spelled = {asset.id: _spellings(asset, generations) for asset in assets}
    chosen = dict.fromkeys(spelled, 0)
    while True:
        names = {id: spelled[id][choice] for id, choice in chosen.items()}
        count = Counter(_key(name) for name in names.values())
        same = [id for id, name in names.items() if count[_key(name)] > 1 and chosen[id] < 2]
        if not same:
            return names
        for id in same:
            chosen[id] += 1


def slug(text: str) -> str:
    """The text's letters and digits in lower case, all else a hyphen; empty when it has none."""
    words: list[str] = []
    word = ""
    for char in unicodedata.normalize("NFC", text):
        kind = unicodedata.category(char)
        if (kind[0] in "LN" and char not in FILLERS) or (kind[0] == "M" and word):
            word += char
        elif word and char not in "'’":  # "it's" is one word
            words.append(word)
            word = ""
    joined = "-".join([*words, word] if word else words)
    return _cut(unicodedata.normalize("NFC", joined.lower()), MAX_SLUG, MAX_SLUG_BYTES)


def archive_name(wish: str | None, otherwise: str) -> str:
    """The archive's file name: the wish as far as every system takes it, else `otherwise`; with `.zip`."""
    stem = "" if wish is None else safe_stem(wish)
    if stem.lower().endswith(".zip"):
        stem = safe_stem(stem[:-4])
    return f"{stem or otherwise}.zip"


def safe_stem(text: str) -> str:
    """The text as far as every system takes it in a file's name, without an extension; empty when nothing is
    left."""
    kept = "".join(
        " " if char in FORBIDDEN or unicodedata.category(char)[0] in "CZ" or char in FILLERS else char
        for char in unicodedata.normalize("NFC", text)
    )
    stem = _cut(" ".join(kept.split()).strip(" ."), MAX_STEM_BYTES, MAX_STEM_BYTES).strip(" .")
    return f"_{stem}" if stem.split(".")[0].rstrip().lower() in DEVICES else stem


def _spellings(asset: Asset, generations: Mapping[str, Generation]) -> tuple[str, str, str]:
    """From the shortest to one that no other asset has."""
    generation = generations.get(asset.generation_id or "")
    if generation is None or asset.index is None:
        return asset.id, asset.id, asset.id
    words = slug(str(generation.input.get("prompt") or "")) or slug(generation.operation)
    name = f"{asset.index:02d}-{words}" if words else f"{asset.index:02d}"
    return name, f"{name}-{asset.id[-SHORT:]}", f"{name}-{asset.id}"


def _key(name: str) -> str:
    """Equal for names that some file system takes for the same."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _cut(text: str, chars: int, size: int) -> str:
    """At most so many characters and bytes, at the end of a word where one ends in the last third."""
    cut = text[:chars].encode()[:size].decode(errors="ignore")
    if cut == text:
        return text
    if not text[len(cut)].isalnum():
        return cut.rstrip("-")
    end = cut.rfind("-")
    return cut[:end] if end > 2 * len(cut) // 3 else cut.rstrip("-")
