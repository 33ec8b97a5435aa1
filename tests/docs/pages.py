"""The generated pages: settings, problems and providers as the code declares them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ferrotype.app.settings import AREAS, declared_settings
from ferrotype.catalogue import CatalogueSettings, load_catalogue
from ferrotype.domain.problems import all_problems
from ferrotype.http.delivery_settings import DeliverySettings
from ferrotype.imaging.marks import MarkSettings
from ferrotype.imaging.presets import BUILT_IN
from ferrotype.providers.registry import KINDS
from ferrotype.storage.cloudinary_settings import CloudinarySettings
from ferrotype.storage.registry import STORE_KINDS
from ferrotype.storage.store_settings import DiskStoreSettings

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
        if area is DeliverySettings:
            lines += [*presets(), *watermarks()]
        if area is CloudinarySettings:
            lines += stores()
    return "\n".join(lines) + "\n"


def presets() -> list[str]:
    """What the operator's own table of presets is about, and those that come along."""
    return [
        "",
        "## [presets]",
        "",
        "Transforms with a name, asked for as `?preset=NAME`, which goes with no other parameter. A preset",
        "is written as a URL would ask for it. It may name a watermark and no other preset, and its sides",
        "are made as they are written, whatever `image_sides` has. Those below are there from the start, as",
        "far as `max_variant_side` and `max_variant_pixels` allow; a preset of the same name replaces one of",
        "them, and an empty text takes it away. A change needs a restart.",
        "",
        "```toml",
        "[presets]",
        'hero = "w=1600&h=600&gravity=attention&format=auto"',
        'proof = "w=1024&format=webp&watermark=logo"',
        'card = "w=480&format=auto"',
        'social-story = ""',
        "```",
        "",
        "| preset | transform |",
        "| --- | --- |",
        *(f"| `{name}` | `{text}` |" for name, text in BUILT_IN.items()),
    ]


def watermarks() -> list[str]:
    """What a watermark is made of."""
    return [
        "",
        "## [watermarks.NAME]",
        "",
        "Marks that a transform or a preset lays over a picture with `watermark=NAME`. Files are named",
        "relative to the folder of the configuration file; each mark is drawn once when the server starts,",
        "so that a bad one is refused there. Variants are cached under what the mark looks like: after a",
        "change, which needs a restart, none with the old one is served.",
        "",
        "```toml",
        "[watermarks.logo]",
        'picture = "logo.svg"',
        "opacity = 0.8",
        "",
        "[watermarks.copyright]",
        'text = "© Ada Example"',
        'font_file = "Inter-Bold.ttf"',
        'gravity = "south"',
        "```",
        "",
        "| key | default | meaning |",
        "| --- | --- | --- |",
        *(
            f"| `{item.name}` | {default(item.default)} | {item.description} |"
            for item in MarkSettings.declared()
        ),
    ]


def stores() -> list[str]:
    """What a store with a name of its own is made of."""
    return [
        "",
        "## [stores.NAME]",
        "",
        "More stores, of any kind, under names of your own ([STORES.md](STORES.md)). `kind` is one of",
        f"{', '.join(f'`{kind}`' for kind in STORE_KINDS)}; the other keys are those of the kind's own table",
        "above, and `${VARIABLE}` in a value is replaced by the environment's. For `disk` they are:",
        "",
        "| key | default | meaning |",
        "| --- | --- | --- |",
        *(
            f"| `{item.name}` | {default(item.default)} | {item.description} |"
            for item in DiskStoreSettings.declared()
        ),
    ]


def default(value: Any) -> str:
    if value is None or value in ([], ()):
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


COLUMNS = (
    "provider",
    "operations",
    "progress",
    "previews",
    "cancel",
    "reattach",
    "look-up",
    "idempotent submit",
    "webhooks",
)
CANCEL = {
    "yes": "yes",
    "queued": "while it waits",
    "connection": "by closing the connection",
    "no": "no",
}


def providers() -> str:
    """docs/PROVIDERS.md."""
    catalogue = load_catalogue(CatalogueSettings())
    lines = [
        "# Providers",
        "",
        "One model name can be served by several deployments at several providers. A provider is configured",
        "by its own variables, or any number of times under names of your own",
        "([CONFIGURATION.md](CONFIGURATION.md) lists them; the page of each provider has examples). What",
        "happens when one of them fails is told in [ROUTING.md](ROUTING.md). Written by `make docs` from the",
        "registry and the catalogue; a test fails when it is out of date.",
        "",
        "## What each can do",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"| {' | '.join('---' for _ in COLUMNS)} |",
    ]
    for name, kind in KINDS.items():
        can = kind.traits
        offered = [
            operation
            for operation in catalogue.operations
            if any(
                operation in model.operations and any(each.provider == name for each in model.deployments)
                for model in catalogue.models.values()
            )
        ]
        cells = [
            page_of(name),
            ", ".join(f"`{operation}`" for operation in offered) or "those of the models that you deploy",
            mark(can.progress),
            mark(can.previews),
            CANCEL[can.cancel],
            mark(can.reattach),
            mark(can.lookup),
            mark(can.idempotent),
            mark(can.webhooks),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "- **operations**: those of the shipped catalogue; your own `models.toml` may deploy others.",
        "- **progress**, **previews**: told while the picture is being made, where the model does.",
        "- **cancel**: `by closing the connection` means that the service may work and charge on.",
        "- **reattach**: after a crash or restart the call is followed by its id. Without it the outcome of",
        "  a call under way is unknown then: the hold is released, and the caller is told.",
        "- **look-up**: a call whose answer was lost is found again by the id that we gave it.",
        "- **idempotent submit**: the same call sent twice runs once, by the service's own promise.",
        "- **webhooks**: the service calls back when `FERROTYPE_PUBLIC_URL` is set; polling goes on beside",
        "  them, seldom. Cog can be reattached to and looked up when `COG_WEBHOOK_SECRET` is set as well.",
        "",
        "## What each operation is served by",
        "",
        "| operation | models |",
        "| --- | --- |",
    ]
    for operation in catalogue.operations:
        models = [
            f"`{model.name}` ({', '.join(dict.fromkeys(each.provider for each in model.deployments))})"
            for model in catalogue.models.values()
            if operation in model.operations
        ]
        lines.append(f"| `{operation}` | {', '.join(models)} |")
    return "\n".join(lines) + "\n"


def page_of(kind: str) -> str:
    """The provider's name, a link to its page."""
    return f"[`{kind}`]({'COMFYUI.md' if kind == 'comfyui' else f'providers/{kind}.md'})"


def mark(yes: bool) -> str:
    return "yes" if yes else "—"


PAGES = {"CONFIGURATION.md": configuration, "PROBLEMS.md": problem_page, "PROVIDERS.md": providers}
