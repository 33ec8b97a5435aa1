"""What is written into the pictures that go out: how they came to be, by XMP and by C2PA manifests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from cachebox import LRUCache

from ferrotype.config import ConfigError
from ferrotype.db import assets, generations
from ferrotype.db.database import Database
from ferrotype.domain.asset import Asset, Visibility
from ferrotype.domain.clock import Clock
from ferrotype.domain.edition import CLEAN, LABELLED, PROMPT, SIGNED, edition
from ferrotype.domain.generation import Generation
from ferrotype.domain.problems import InternalError, InvalidField, Problem
from ferrotype.domain.transform import ORIGINAL, Transform
from ferrotype.imaging.provenance.c2pa import SIGNED as SIGNED_TYPES
from ferrotype.imaging.provenance.c2pa import Ingredient, Signing
from ferrotype.imaging.provenance.containers import has_manifest
from ferrotype.imaging.provenance.packet import packet
from ferrotype.imaging.provenance.settings import ProvenanceSettings
from ferrotype.imaging.provenance.strip import cleaned
from ferrotype.imaging.provenance.xmp import LABELLED_TYPES, embedded
from ferrotype.imaging.vips import Source
from ferrotype.services.originals import Originals

#: After a signature failed, variants go unsigned for so many seconds.
FAULT_SECONDS: Final = 60.0
#: Larger originals are downloaded as they are, since for a label they have to be in memory whole.
MAX_BYTES: Final = 64 * 1024 * 1024
#: Uploads of which it is remembered that they bring no manifest.
REMEMBERED: Final = 4096

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A picture's bytes; `fault` is why they are not signed though they should be."""

    data: bytes
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """What one asset's files are given. `packet` is the XMP, None where there is nothing to say; `upload` the
    picture that was edited; `address` where the original is. Everything here blocks."""

    source_type: str | None
    packet: bytes | None = None
    signing: Signing | None = None
    upload: Ingredient | None = None
    address: str | None = None

    def sign(self, data: bytes, transform: Transform, original: Source) -> Labelled:
        """The variant that `transform` made of `original`, signed where that is switched on and can be done.
        Raises OSError when the original cannot be read."""
        if self.signing is None:
            return Labelled(data)
        try:
            signed = self.signing.signed(
                data,
                source_type=self.source_type,
                transform=transform,
                original=original,
                upload=self.upload,
                address=self.address,
            )
        except InternalError as problem:
            return Labelled(data, self._fault(problem))
        except InvalidField as problem:  # it can be decoded, and what is around its pixels cannot be read
            log.warning("not signed: the original is damaged", detail=problem.detail)
            return Labelled(data)
        return Labelled(signed)

    def _fault(self, problem: InternalError) -> str | None:
        """Why nothing can be signed now; None where it is this picture's doing, and no other's."""
        assert self.signing is not None
        try:
            self.signing.check()
        except InternalError as general:
            return general.detail
        log.warning("not signed", fault=problem.detail)
        return None

    def label(self, original: bytes, *, keep_workflow: bool) -> Labelled:
        """The original for a download, its pixels as they are. One that its provider signed stays as it is.

        Raises UnsupportedMedia for no picture, InvalidField (`image`) when it is damaged and may tell what
        must not be told.
        """
        data = original if keep_workflow else cleaned(original)
        try:
            if has_manifest(data):
                return Labelled(data)
            data = embedded(data, self.packet)
        except InvalidField as problem:
            log.warning("not labelled: the original is damaged", detail=problem.detail)
            return Labelled(data)
        return self.sign(data, ORIGINAL, data)


class Labels:
    """Knows what is to be written into which asset's files."""

    def __init__(
        self,
        settings: ProvenanceSettings,
        open_signing: Callable[[], Signing | None],
        database: Database,
        originals: Originals,
        clock: Clock,
        public_url: str | None = None,
    ) -> None:
        """`open_signing` may raise ConfigError or OSError: then pictures go unsigned, and `health` says why.
        `public_url` is where others reach this server."""
        self._settings = settings
        self._database = database
        self._originals = originals
        self._clock = clock
        self._public_url = public_url
        self._signing: Signing | None = None
        self._refused: str | None = None
        #: Why the last signature failed, and until when none is tried.
        self._fault: tuple[str, float] | None = None
        self._bare: LRUCache[str, bool] = LRUCache(REMEMBERED)
        try:
            self._signing = open_signing()
        except (ConfigError, OSError) as error:
            self._refused = str(error)
            log.error("pictures go unsigned", fault=self._refused)
        self._mark = f"{SIGNED}{_digest(self._signing)}" if self._signing else ""

    @property
    def keep_workflows(self) -> bool:
        """Whether originals go out with the workflows in their files."""
        return self._settings.keep_workflows

    @property
    def configured(self) -> bool:
        """Whether variants are to be signed, which changes their bytes with the certificate."""
        return self._settings.c2pa != "off"

    @property
    def faulty(self) -> bool:
        """Whether pictures go unsigned for a moment."""
        return self._fault is not None and self._clock.monotonic() < self._fault[1]

    def name(self, canonical: str) -> str:
        """Of the edition of a variant."""
        return edition(canonical, *self._marks()) if canonical else ""

    def download(self, asset: Asset) -> str | None:
        """The name of the edition in which the original is downloaded, None where it is not labelled."""
        types = SIGNED_TYPES | LABELLED_TYPES if self._signing_now() else LABELLED_TYPES
        if asset.source_type is None or asset.content_type not in (None, *types):
            return None
        if asset.bytes is not None and asset.bytes > MAX_BYTES:
            return None
        return edition("" if self.keep_workflows else CLEAN, LABELLED, *self._marks())

    async def of(self, asset: Asset, generation: Generation | None = None, *, signed: bool = True) -> Label:
        """Everything that is to be said of an asset; `generation` is the one that made it, for a caller that
        knows it. Nothing is `signed` that is not to be."""
        signing = self._signing_now() if signed else None
        if (
            generation is None
            and asset.generation_id is not None
            and (signing or self._settings.embed_prompts)
        ):
            generation_id = asset.generation_id
            generation = await self._database.read(lambda tx: generations.get(tx, generation_id))
        address = None if self._public_url is None else f"{self._public_url.rstrip('/')}/images/{asset.id}"
        upload = await self._upload(generation) if signing else None
        return Label(asset.source_type, self.packet(asset, generation), signing, upload, address)

    def packet(self, asset: Asset, generation: Generation | None) -> bytes | None:
        """The XMP of an asset."""
        if not self._settings.embed_prompts or generation is None:
            return packet(asset.source_type)
        prompt = str(generation.input.get("prompt") or "")
        return packet(asset.source_type, prompt=prompt, system=generation.model)

    @property
    def signs(self) -> bool:
        """Whether pictures are signed now."""
        return self._signing_now() is not None

    def failed(self, fault: str) -> None:
        """A signature failed: none is tried for a while, and answers are good for a moment only."""
        log.error("a picture was not signed", fault=fault)
        self._fault = fault, self._clock.monotonic() + FAULT_SECONDS

    def health(self) -> Mapping[str, Any] | None:
        """Whether pictures are signed, and by whom; None where nobody asked for that."""
        if not self.configured:
            return None
        if self._refused is not None:
            return {"ok": False, "detail": f"pictures go unsigned: {self._refused}"}
        if self._fault is not None and self.faulty:
            return {"ok": False, "detail": f"pictures go unsigned: {self._fault[0]}"}
        assert self._signing is not None
        credential = self._signing.credential
        if not self._signing.is_good(self._clock.now()):
            return {
                "ok": False,
                "detail": f"pictures go unsigned: the certificate ended on {credential.ends:%Y-%m-%d}",
            }
        return {"ok": True, "detail": f"signed as {credential.name} until {credential.ends:%Y-%m-%d}"}

    def _signing_now(self) -> Signing | None:
        if self._signing is None or self.faulty or not self._signing.is_good(self._clock.now()):
            return None
        return self._signing

    def _marks(self) -> tuple[str, str]:
        return (
            PROMPT if self._settings.embed_prompts else "",
            self._mark if self.signs else "",
        )

    async def _upload(self, generation: Generation | None) -> Ingredient | None:
        """The picture that was edited, with its bytes if they bring a manifest that others may see."""
        images = generation.input.get("images") if generation else None
        if not images:
            return None
        asset_id = str(images[0])
        asset = await self._database.read(lambda tx: assets.get(tx, asset_id))
        if asset is None or asset.content_type is None:
            return None
        bare = Ingredient(asset.content_type)
        if (
            asset_id in self._bare
            or asset.deleted_at is not None
            or asset.visibility is Visibility.PRIVATE
            or asset.content_type not in SIGNED_TYPES
        ):
            return bare
        try:
            data = await self._originals.read(asset_id)
            if has_manifest(data):
                return Ingredient(asset.content_type, data)
        except (Problem, OSError) as error:  # it is named all the same
            log.info("an edited picture cannot be read", asset_id=asset_id, error=str(error))
            return bare
        self._bare[asset_id] = True
        return bare


def _digest(signing: Signing) -> str:
    """Another one for another certificate, and where another part of the past comes along."""
    text = signing.credential.chain + str(signing.max_past_bytes).encode()
    return hashlib.sha256(text).hexdigest()[:8]
