"""C2PA manifests in finished pictures, through the package `c2pa-python`, which is an extra.

What is claimed (C2PA specification 2.2, actions): a picture that a model made was `c2pa.created`, with the
IPTC digital source type; one with a past (an original with a manifest of its own, or the upload that was
edited) was `c2pa.opened`, and the past goes along as its `parentOf` ingredient, with its manifest as far as
that is of a bearable size, else by reference. What the transform did comes behind that. Nothing is claimed of
a plain upload without a past.
"""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from ferrotype import __version__
from ferrotype.config import ConfigError
from ferrotype.domain.problems import InternalError
from ferrotype.domain.transform import ORIGINAL, Transform
from ferrotype.imaging.provenance.containers import has_manifest, manifest_bytes
from ferrotype.imaging.provenance.packet import source_type_uri
from ferrotype.imaging.provenance.settings import ProvenanceSettings
from ferrotype.imaging.sniff import HEAD
from ferrotype.imaging.vips import Source, head_of, kind_of

if TYPE_CHECKING:
    from ferrotype.imaging.provenance.certificates import Credential

log = structlog.get_logger(__name__)

INSTALL: Final = "pip install 'ferrotype[c2pa]'"
PARENT: Final = "parent"
#: The default of `Signing.max_past_bytes`: as much as a variant of usual size has itself.
MAX_PAST_BYTES: Final = 64 * 1024
#: No network, no thumbnails: a picture in the picture would double small variants. What was signed is not
#: read again here: tests do that for every format.
OPTIONS: Final = {
    "version": 1,
    "builder": {
        "thumbnail": {"enabled": False},
        "actions": {
            name: {"enabled": False}
            for name in ("auto_created_action", "auto_opened_action", "auto_placed_action")
        },
    },
    "verify": {
        "remote_manifest_fetch": False,
        "ocsp_fetch": False,
        "verify_after_sign": False,
    },
}
#: Formats that the library writes and we deliver. TIFF is delivered as another format.
SIGNED: Final = frozenset({"image/jpeg", "image/png", "image/webp", "image/avif", "image/gif"})
#: What each parameter of a transform does, in the specification's words; the others of `Transform` tell how.
ACTIONS: Final[dict[str, tuple[str, ...]]] = {
    "c2pa.cropped": ("crop", "trim"),
    "c2pa.resized": ("w", "h"),
    "c2pa.orientation": ("rotate", "flip"),
    "c2pa.filtered": ("blur", "sharpen"),
    "c2pa.edited": ("watermark", "bg"),
    "c2pa.transcoded": ("format", "q"),
}


@dataclass(frozen=True, slots=True)
class Ingredient:
    """What a picture was made of. `data` is None where its manifest does not come along: it has none, it is
    too large, or the picture is no longer there. `address` is where the picture itself may be seen."""

    content_type: str
    data: Source | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Signing:
    """Signs with one credential, in any thread. `timestamp_url`, if given, is asked for every manifest. A
    manifest of the past of more than `max_past_bytes` is referred to and does not come along."""

    credential: Credential
    timestamp_url: str | None = None
    max_past_bytes: int = MAX_PAST_BYTES

    def signed(
        self,
        data: bytes,
        *,
        source_type: str | None,
        transform: Transform = ORIGINAL,
        original: Source | None = None,
        upload: Ingredient | None = None,
        address: str | None = None,
    ) -> bytes:
        """The finished picture with a manifest of ours. Blocking, some milliseconds.

        `source_type` is the asset's DigitalSourceType, `transform` what made `data` of `original`, which is
        at `address`; `upload` is the picture that was edited where the asset is an edit. A manifest in
        `original` stays in the new one; `data` itself may be `original`. The same bytes come back where
        nothing can be claimed (see the module), in a format that takes no manifest, and where the library
        cannot read what is in the past: a manifest of ours would hide it. What is signed is never twice the
        same bytes: a manifest has an identifier and salts of its own.

        Raises UnsupportedMedia for no picture, InvalidField (`image`) when a file is damaged, InternalError
        when signing fails, as with a time-stamp authority that is silent, OSError when a file cannot be read.
        """
        content_type = kind_of(data[:HEAD]).content_type
        own_past = original is not None and has_manifest(original)
        if own_past:
            assert original is not None
            upload = Ingredient(kind_of(head_of(original)[0]).content_type, original, address)
        parent = upload and self._bearable(upload)
        if content_type not in SIGNED or (source_type is None and parent is None):
            return data
        definition: dict[str, Any] = {
            "claim_generator_info": [{"name": "Ferrotype", "version": __version__}],
            "format": content_type,
            "assertions": [
                {
                    "label": "c2pa.actions.v2",
                    "data": {"actions": list(_actions(source_type, transform, parent, own_past))},
                }
            ],
        }
        if parent is not None and parent.data is None:
            definition["ingredients"] = [_told(parent)]
        library = _library()
        written = io.BytesIO()
        try:
            with (
                library.Context.from_dict(OPTIONS) as context,
                self._signer(library) as signer,
                library.Builder(definition, context) as builder,
            ):
                if parent is not None and parent.data is not None:
                    try:
                        _add(builder, parent, parent.data)
                    except library.C2paError as error:
                        log.warning(
                            "not signed: the manifest of the original cannot be read", error=str(error)
                        )
                        return data
                builder.sign(signer, content_type, io.BytesIO(data), written)
        except library.C2paError as error:
            raise InternalError(f"The picture could not be signed: {error}") from error
        return written.getvalue()

    def is_good(self, now: datetime) -> bool:
        """Whether the certificate may still sign."""
        return now < self.credential.ends

    def _bearable(self, past: Ingredient) -> Ingredient:
        """Without its file where that has no manifest, or one that is too large."""
        if past.data is not None and 0 < manifest_bytes(past.data) <= self.max_past_bytes:
            return past
        return replace(past, data=None)

    def check(self) -> None:
        """Sign a picture of one pixel, for a look at the configuration. Raises InternalError."""
        self.signed(PIXEL, source_type="algorithmicMedia")

    def _signer(self, library: Any) -> Any:
        told = library.C2paSignerInfo(
            alg=self.credential.algorithm.encode(),
            sign_cert=self.credential.chain,
            private_key=self.credential.key,
            ta_url=self.timestamp_url.encode() if self.timestamp_url else None,
        )
        return library.Signer.from_info(told)


def open_signing(settings: ProvenanceSettings, data_dir: Path, now: datetime) -> Signing | None:
    """What signs, None where it is switched off: then the library is not even imported.

    Raises ConfigError naming the variable at fault, OSError when the development certificate cannot be kept.
    """
    if settings.c2pa == "off":
        return None
    _library()
    # Only here: x509 takes 8 MB.
    from ferrotype.imaging.provenance.certificates import development_credential, read_credential

    if settings.c2pa == "development":
        credential = development_credential(data_dir, now)
    else:
        assert settings.c2pa_certificate is not None  # the settings see to that
        assert settings.c2pa_key is not None
        files = Path(settings.c2pa_certificate).expanduser(), Path(settings.c2pa_key).expanduser()
        credential = read_credential(*files, now)
    signing = Signing(credential, settings.c2pa_timestamp_url, settings.c2pa_max_past_bytes)
    try:
        replace(signing, timestamp_url=None).check()
    except InternalError as problem:
        raise ConfigError(f"FERROTYPE_C2PA_CERTIFICATE: C2PA does not take it. {problem.detail}") from None
    return signing


def _told(past: Ingredient) -> dict[str, Any]:
    told = {
        "title": "original",
        "format": past.content_type,
        "relationship": "parentOf",
        "label": PARENT,
    }
    return told if past.address is None else told | {"informational_URI": past.address}


def _add(builder: Any, past: Ingredient, data: Source) -> None:
    with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as file:
        builder.add_ingredient(json.dumps(_told(past)), past.content_type, file)


def _actions(
    source_type: str | None, transform: Transform, parent: Ingredient | None, own_past: bool
) -> Iterator[dict[str, Any]]:
    made = {} if source_type is None else {"digitalSourceType": source_type_uri(source_type)}
    if parent is not None:
        opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": [PARENT]}}
        # Its own manifest tells how it was made, where it is here.
        yield opened | made if own_past and parent.data is None else opened
    if made and not own_past:
        yield {"action": "c2pa.created" if parent is None else "c2pa.edited"} | made
    for action, names in ACTIONS.items():
        if any(getattr(transform, name) != getattr(ORIGINAL, name) for name in names):
            yield {"action": action}


def _library() -> Any:
    try:
        return importlib.import_module("c2pa")
    except ImportError as error:
        raise ConfigError(
            f"FERROTYPE_C2PA: the package c2pa-python is missing ({error}); {INSTALL} brings it."
        ) from None


#: The smallest PNG: one grey pixel.
PIXEL: Final = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b5500"
    "00000a49444154789c636800000082008177cd72b60000000049454e44ae426082"
)
