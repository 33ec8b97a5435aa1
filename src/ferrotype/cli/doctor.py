"""`ferrotype doctor`: check everything, and say how to mend it."""

from __future__ import annotations

import asyncio
import platform
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer
from rich.console import Console
from rich.markup import escape

from ferrotype import __version__
from ferrotype.app.lock import running_server
from ferrotype.app.server import check_port
from ferrotype.app.settings import AppSettings, load_settings
from ferrotype.catalogue import load_catalogue
from ferrotype.config import ConfigError, load, read_toml
from ferrotype.domain.clock import SystemClock
from ferrotype.domain.problems import InternalError, Problem
from ferrotype.embedding import INSTALL as INSTALL_EMBEDDER
from ferrotype.embedding import lacking as embedder_lacks
from ferrotype.embedding import open_embedder, similarity
from ferrotype.imaging.provenance.c2pa import INSTALL as INSTALL_C2PA
from ferrotype.imaging.provenance.c2pa import open_signing
from ferrotype.providers.base import Provider
from ferrotype.providers.comfyui import ComfyUISettings, Library
from ferrotype.providers.local import LocalSettings
from ferrotype.providers.local.trial import trial
from ferrotype.providers.local.weights import INSTALL, TARGETS, lacking
from ferrotype.providers.registry import open_providers
from ferrotype.storage.cdn import open_purger
from ferrotype.storage.registry import ConfiguredStore, open_store
from ferrotype.storage.settings import StorageSettings

#: So long a provider is waited for.
HEALTH_SECONDS: Final = 15.0
#: A certificate that ends within so many days is told of.
SOON_DAYS: Final = 30
MARKS: Final = {"ok": "[green]ok       [/]", "warn": "[yellow]warning  [/]", "fail": "[red]failed   [/]"}


@dataclass(frozen=True)
class Finding:
    """The result of one check; `mend` tells what to do."""

    mark: str
    detail: str
    mend: str = ""


def tell(name: str, finding: Finding) -> None:
    """A line of its own for the finding and for its remedy, so that addresses and paths stay whole."""
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{MARKS[finding.mark]} {name:<14}{escape(finding.detail)}")
    if finding.mend:
        console.print(f"{'':<24}[bold]to mend it:[/] {escape(finding.mend)}")


async def doctor(data_dir: Path | None) -> None:
    """Print what is found; exit code 1 when something failed."""
    failed = False
    try:
        settings = load_settings(storage={"data_dir": data_dir})
    except ConfigError as error:
        tell("configuration", Finding("fail", str(error), "correct that setting, then run this again"))
        raise typer.Exit(1) from None
    tell("configuration", Finding("ok", "every setting can be used"))
    for name, check in CHECKS.items():
        try:
            findings = await check(settings)
        except Exception as error:
            findings = [
                Finding("fail", f"{type(error).__name__}: {error}", "this is a bug; please report it")
            ]
        for finding in findings:
            failed = failed or finding.mark == "fail"
            tell(name, finding)
    if failed:
        raise typer.Exit(1)


async def _python(_settings: AppSettings) -> list[Finding]:
    text = f"Ferrotype {__version__}, Python {platform.python_version()} on {platform.machine()}"
    return [Finding("ok", f"{text}, SQLite {sqlite3.sqlite_version}")]


async def _imaging(_settings: AppSettings) -> list[Finding]:
    import pyvips

    missing = [
        name
        for name in ("jpegload", "pngload", "webpload", "gifload", "heifload", "svgload")
        if not pyvips.type_find("VipsOperation", name)
    ]
    text = f"libvips {pyvips.version(0)}.{pyvips.version(1)}.{pyvips.version(2)}"
    if missing:
        return [
            Finding(
                "fail", f"{text} lacks {', '.join(missing)}", "pip install --force-reinstall pyvips-binary"
            )
        ]
    return [Finding("ok", text)]


async def _folder(settings: AppSettings) -> list[Finding]:
    root = settings.data_dir
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe = root / ".doctor"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        return [
            Finding(
                "fail",
                f"{root}: {error.strerror}",
                "set FERROTYPE_DATA_DIR to a folder that can be written to",
            )
        ]
    free = shutil.disk_usage(root).free
    least = settings.storage.min_free_disk_bytes
    text = f"{root}, {free / 2**30:.1f} GiB free"
    if free < least:
        return [
            Finding("fail", text, f"free {least / 2**30:.1f} GiB, or lower FERROTYPE_MIN_FREE_DISK_BYTES")
        ]
    return [Finding("ok", text)]


async def _server(settings: AppSettings) -> list[Finding]:
    running = running_server(settings.data_dir)
    if running is not None:
        return [Finding("ok", f"running at {running.get('url')}, process {running.get('pid')}")]
    try:
        settings.http.check_access()
        check_port(settings.http.host, settings.http.port)
    except ConfigError as error:
        name, _, rest = str(error).partition(": ")
        return [Finding("fail", rest, f"change {name}")]
    return [Finding("ok", f"{settings.http.host}:{settings.http.port} is free")]


async def _delivery(settings: AppSettings) -> list[Finding]:
    """What may be asked of pictures; reading the settings has drawn every watermark once."""
    delivery, known = settings.delivery, settings.offer.vocabulary
    keys = len(delivery.url_keys)
    parts = [
        f"presets: {len(known.presets)}",
        f"watermarks: {len(known.watermarks)}",
        "anybody may transform" if delivery.transforms == "any" else "only presets and signed URLs transform",
        f"URLs are signed with {'a key in the data folder' if not keys else f'FERROTYPE_URL_KEYS ({keys})'}",
        f"new pictures are {delivery.visibility}",
    ]
    if delivery.disk_public_url is not None:
        parts.append(f"originals are at {delivery.disk_public_url}")
    findings = [Finding("ok", ", ".join(parts))]
    for name, marked in known.watermarks.items():
        mark = settings.offer.marks[marked]
        if not mark.has_its_font():
            text = f"watermark {name}: {mark.font} looks like any font that is not on this machine"
            findings.append(
                Finding("warn", text, f"install it, or name its font_file in [watermarks.{name}]")
            )
    if settings.storage.redis_url is not None:
        findings.append(await _shared_cache(settings.storage, settings.storage.redis_url))
    return findings


async def _provenance(settings: AppSettings) -> list[Finding]:
    """What is written into pictures and taken out of them; with a certificate one is signed."""
    told = settings.provenance
    kept = "originals keep workflows" if told.keep_workflows else "workflows are taken out of originals"
    parts = [kept, *(["prompts are written into pictures"] if told.embed_prompts else [])]
    if told.c2pa == "off":
        parts.append("pictures say how they were made by XMP, and are not signed")
        return [Finding("ok", ", ".join(parts))]
    clock = SystemClock()
    until = "pictures go unsigned until then"
    try:
        signing = await asyncio.to_thread(open_signing, told, settings.data_dir, clock.now())
        assert signing is not None
        await asyncio.to_thread(signing.check)
    except ConfigError as error:
        name, _, rest = str(error).partition(": ")
        mend = INSTALL_C2PA if "c2pa-python" in rest else f"correct {name} (docs/PROVENANCE.md); {until}"
        return [Finding("fail", f"C2PA: {rest}", mend)]
    except OSError as error:
        mend = f"make FERROTYPE_DATA_DIR writable; {until}"
        return [Finding("fail", f"C2PA: {error.filename}: {error.strerror}", mend)]
    except InternalError as problem:
        mend = f"check FERROTYPE_C2PA_TIMESTAMP_URL; {until}"
        return [Finding("fail", f"C2PA: {problem.detail}", mend)]
    credential = signing.credential
    parts.append(f"pictures are signed as {credential.name} until {credential.ends:%Y-%m-%d}")
    left = (credential.ends - clock.now()).days
    if left < SOON_DAYS:
        return [Finding("warn", ", ".join(parts), f"renew the certificate: it is good for {left} more days")]
    return [Finding("ok", ", ".join(parts))]


async def _shared_cache(storage: StorageSettings, url: str) -> Finding:
    from ferrotype.storage.shared import SharedCache  # only here: redis-py takes long

    try:
        cache = SharedCache(
            url,
            SystemClock(),
            namespace=storage.shared_cache_namespace,
            timeout=storage.shared_cache_timeout,
        )
    except ValueError:  # its words may repeat a password
        return Finding("fail", "shared cache: the address cannot be read", "correct FERROTYPE_REDIS_URL")
    try:
        health = await cache.health()
    finally:
        await cache.close()
    mark = "fail" if not health.ok else "warn" if health.mend else "ok"
    return Finding(mark, f"shared cache: {health.detail}", health.mend)


async def _stores(settings: AppSettings) -> list[Finding]:
    """A few bytes are written to every store, read and deleted; the data folder has a check of its own."""
    written = ", ".join(settings.stores.written)
    findings = await asyncio.gather(*(_store(settings, each) for each in settings.stores.configured.values()))
    return [Finding("ok", f"pictures are written to {written}"), *findings]


async def _store(settings: AppSettings, configured: ConfiguredStore) -> Finding:
    try:
        store = open_store(configured, settings.storage)
    except ConfigError as error:
        return Finding("fail", str(error), "correct its settings (docs/STORES.md)")
    health = await store.health()
    return Finding("ok" if health.ok else "fail", f"{store.name}: {health.detail}", health.mend)


async def _cdn(settings: AppSettings) -> list[Finding]:
    """Whether it takes a purge, of a tag that nothing has. Nothing to tell where there is none."""
    purger = open_purger(settings.cdn, settings.http.public_url, SystemClock())
    if purger is None:
        return []
    try:
        health = await purger.health()
    finally:
        await purger.close()
    return [Finding("ok" if health.ok else "fail", health.detail, health.mend)]


async def _catalogue(settings: AppSettings) -> list[Finding]:
    try:
        catalogue = load_catalogue(settings.catalogue)
    except ConfigError as error:
        return [Finding("fail", str(error), "correct the catalogue file")]
    return [Finding("ok", f"{len(catalogue.models)} models, {len(catalogue.styles)} styles")]


async def _providers(settings: AppSettings) -> list[Finding]:
    providers = open_providers(settings.connections, SystemClock())
    asked = (_provider(provider, settings.connections[name].kind) for name, provider in providers.items())
    findings = await asyncio.gather(*asked)
    if set(providers) == {"local"}:
        mend = (
            "set a provider's address or key, such as COMFYUI_URL or REPLICATE_API_TOKEN (docs/PROVIDERS.md)"
        )
        findings.append(Finding("warn", "only the illustrator draws", mend))
    return findings


async def _provider(provider: Provider, kind: str) -> Finding:
    page = "docs/COMFYUI.md" if kind == "comfyui" else f"docs/providers/{kind}.md"
    try:
        health = await asyncio.wait_for(provider.health(), HEALTH_SECONDS)
    except TimeoutError:
        text = f"{provider.name}: no answer in {HEALTH_SECONDS:.0f} s"
        return Finding("fail", text, f"check that its address can be reached ({page})")
    finally:
        await provider.close()
    text = f"{provider.name}: {health.detail}"
    if health.queue_length is not None:
        text += f", queue {health.queue_length}"
    return Finding("ok", text) if health.ok else Finding("fail", text, f"check its address and key ({page})")


async def _local_models(settings: AppSettings) -> list[Finding]:
    """Whether the extra is here; if it is, each of its models makes a tiny picture."""
    reasons = {reason for target in TARGETS if (reason := lacking(target)) is not None}
    if reasons:
        return [Finding("warn", f"none that enlarge and restyle here: {' '.join(sorted(reasons))}", INSTALL)]
    local = settings.connections["local"].settings
    assert isinstance(local, LocalSettings)
    tried = await trial(local)
    findings = [
        Finding("fail", f"{target}: {fault}", INSTALL.replace("install", "install --force-reinstall"))
        for target, fault in tried.items()
        if fault is not None
    ]
    workers = f"workers: {local.local_workers}, of {local.threads} threads and {local.memory / 2**30:.1f} GiB"
    return findings or [Finding("ok", f"{', '.join(tried)}; {workers}")]


async def _similar_prompts(settings: AppSettings) -> list[Finding]:
    """Whether prompts are compared; if they are, two of them."""
    if not settings.similar.similar:
        return [Finding("ok", "switched off (FERROTYPE_SIMILAR)")]
    embedder = open_embedder(settings.similar)
    if embedder is None:
        return [Finding("fail", embedder_lacks() or "", INSTALL_EMBEDDER)]
    try:
        fox, wolf = await embedder.embed(["a fox under the moon", "a wolf under the moon"])
    except Problem as problem:
        mend = INSTALL_EMBEDDER.replace("install", "install --force-reinstall", 1)
        return [Finding("fail", problem.detail, mend)]
    finally:
        await embedder.close()
    text = f"{embedder.name}: fox and wolf are {similarity(fox, wolf):.2f}, the same counts from"
    return [Finding("ok", f"{text} {settings.similar.similar_threshold:g} on")]


async def _workflows(settings: AppSettings) -> list[Finding]:
    """Every ComfyUI workflow template, and that those of the catalogue exist."""
    folders = {
        each.settings.workflows_dir
        for each in settings.connections.values()
        if isinstance(each.settings, ComfyUISettings)
    } or {load(ComfyUISettings, toml=read_toml()).workflows_dir}
    return [finding for folder in folders for finding in _templates(settings, folder)]


def _templates(settings: AppSettings, folder: str | None) -> list[Finding]:
    if folder is not None and not Path(folder).expanduser().is_dir():
        return [Finding("fail", f"{folder} is no folder", "correct COMFYUI_WORKFLOWS")]
    library = Library(folder)
    checked = library.check()
    findings = [
        Finding("fail", f"{each.source}: {each.fault}", "correct the template (docs/COMFYUI.md)")
        for each in checked
        if each.fault is not None
    ]
    known = {each.name for each in checked}
    with suppress(ConfigError):  # a catalogue that cannot be read is found by its own check
        for model in load_catalogue(settings.catalogue).models.values():
            findings += [
                Finding(
                    "fail",
                    f"{model.name}: there is no workflow {each.target!r}",
                    "put it into COMFYUI_WORKFLOWS",
                )
                for each in model.deployments
                if each.provider == "comfyui" and each.target.removesuffix(".json") not in known
            ]
    return findings or [Finding("ok", f"{len(checked)} templates")]


CHECKS: Final[dict[str, Callable[[AppSettings], Awaitable[list[Finding]]]]] = {
    "installation": _python,
    "imaging": _imaging,
    "data folder": _folder,
    "server": _server,
    "delivery": _delivery,
    "provenance": _provenance,
    "stores": _stores,
    "cdn": _cdn,
    "catalogue": _catalogue,
    "workflows": _workflows,
    "local models": _local_models,
    "similar prompts": _similar_prompts,
    "providers": _providers,
}
