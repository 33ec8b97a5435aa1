"""What is left out of scripts and style sheets, and that nothing else is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ferrotype.app.web import STUDIO_FILES
from ferrotype.http.lean import lean, lean_script, lean_style
from ferrotype.http.studio import Studio

SCRIPTS = sorted(STUDIO_FILES.rglob("*.js"))


def test_comments_and_indentation_go_and_words_stay() -> None:
    script = """// What it is.
/** Documented
 *  over lines. */
export function run() {

  // Why.
  const url = "https://example.org"; // beside code it stays
  return `a // b ${url}`;
}
"""
    assert lean_script(script) == (
        'export function run() {\nconst url = "https://example.org"; // beside code it stays\n'
        "return `a // b ${url}`;\n}"
    )
    across = "const text = `one\n  // two\n`;\n// a comment\n"
    assert lean_script(across) == across, "the space within a template may matter"


def test_styles_lose_what_separates_nothing() -> None:
    style = "/* A card. */\n.card > .a:not(.b),\n.c {\n  margin: 0 calc(1px + 2px);\n  color: red;\n}\n"
    assert lean_style(style) == ".card > .a:not(.b),.c{margin: 0 calc(1px + 2px);color: red}"


def test_other_files_stay_as_they_are() -> None:
    assert lean("img/mark.svg", b"<svg>  /* x */ </svg>") == b"<svg>  /* x */ </svg>"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_our_scripts_become_leaner(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("//"), "a script begins with what it is"
    assert len(lean_script(text)) < len(text)


def test_every_module_that_is_imported_is_there_and_no_module_is_forgotten() -> None:
    studio = Studio(STUDIO_FILES)
    served = {"studio/" + name.removeprefix("js/") for name in studio.files}
    named = set()
    for path in SCRIPTS:
        named |= set(re.findall(r"""["'](studio/[\w./-]+\.js)["']""", path.read_text(encoding="utf-8")))
    assert named <= served
    modules = {name for name in served if name.endswith(".js") and "/pages/" not in name}
    assert modules - named == {"studio/main.js"}
