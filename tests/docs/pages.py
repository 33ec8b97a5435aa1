"""The generated pages: settings and problems as the code declares them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ferrotype.app.settings import AREAS, declared_settings
from ferrotype.domain.problems import all_problems

DOCS = Path(__file__).parents[2] / "docs"


def configuration() -> str:
    """docs/CONFIGURATION.md."""
    lines = [
        "# Configuration",
        "",
        "Every setting has one environment variable and one key in the configuration file (`ferrotype.toml`",
        "in the working folder, or the file that `FERROTYPE_CONFIG` names). The environment wins over the",
        "file, the command line over both. Written by `make docs`; a test fails when it is out of date.",
        "",
        "```toml",
        "[http]",
        "port = 8700",
        "",
        "[engine]",
        "classes = { light = 8, heavy = 4 }",
        "```",
    ]
    for area in AREAS:
        doc = (area.__doc__ or "").strip().splitlines()[0]
        lines += [
            "",
            f"## [{area.area}]",
            "",
            doc,
            "",
            "| variable | key | default | meaning |",
            "| --- | --- | --- | --- |",
        ]
        for item in declared_settings():
            if item.area == area.area:
                text = item.description.replace("|", "\\|")
                lines.append(f"| `{item.env}` | `{item.name}` | {default(item.default)} | {text} |")
    return "\n".join(lines) + "\n"


def default(value: Any) -> str:
    if value is None or value == []:
        return "—"
    if isinstance(value, dict):
        value = ",".join(f"{key}={entry}" for key, entry in value.items())
    return f"`{value}`"


def problem_page() -> str:
    """docs/PROBLEMS.md."""
    lines = [
        "# Problems",
        "",
        "Every error is an RFC 9457 problem (`application/problem+json`): `type`, `title`, `status`,",
        "`detail`, and where they say something `field` (the input at fault), `limit` (the bound it broke),",
        "`retry_after` (seconds), `charged` (`unknown` where a provider may have charged) and `errors` (all",
        "of several). `code` is stable. Written by `make docs`; a test fails when it is out of date.",
        "",
        "| code | status | title | may be tried again |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{cls.code}` | {cls.status} | {cls.title} | {'yes' if cls.retryable else 'no'} |"
        for cls in all_problems()
    ]
    return "\n".join(lines) + "\n"


PAGES = {"CONFIGURATION.md": configuration, "PROBLEMS.md": problem_page}
