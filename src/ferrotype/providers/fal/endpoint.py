"""Where a model's calls go: fal's names of its apps, and the addresses of one request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ferrotype.domain.problems import ProviderMisconfigured

#: First parts that are not an owner: `workflows/OWNER/NAME`, `comfy/OWNER/NAME`.
NAMESPACES: Final = frozenset({"workflows", "comfy"})
PART: Final = re.compile(r"(?!\.+$)[A-Za-z0-9._~-]+")
#: The oldest form of an app's name, `123-name`.
NUMBERED: Final = re.compile(r"(\d+)-([A-Za-z0-9-]+)")
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class Links:
    """The addresses of one request: paths under the queue's address, or whole addresses on its host."""

    status: str
    result: str
    cancel: str

    @property
    def stream(self) -> str:
        """Its states, as they change."""
        return f"{self.status}/stream"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A deployment's target. `path` is where orders go: `/fal-ai/flux/schnell`; `app` is without what comes
    after the app's name: `/fal-ai/flux`, because the addresses of a request drop it."""

    path: str
    app: str

    @classmethod
    def of(cls, target: str) -> Endpoint:
        """Raises ProviderMisconfigured for a target that is no name of an app."""
        numbered = NUMBERED.fullmatch(target)
        parts = list(numbered.groups()) if numbered else target.strip("/").split("/")
        named = 3 if parts[0] in NAMESPACES else 2
        if len(parts) < named or not all(PART.fullmatch(part) for part in parts):
            raise ProviderMisconfigured(f"{target!r} is no name of a fal app, which is like fal-ai/flux/dev.")
        return cls("/" + "/".join(parts), "/" + "/".join(parts[:named]))

    def links(self, request_id: str) -> Links:
        """The addresses of a request, made of its id."""
        request = f"{self.app}/requests/{request_id}"
        return Links(f"{request}/status", request, f"{request}/cancel")


def told_links(reply: Mapping[str, Any]) -> Links | None:
    """The addresses that the answer to an order names, if it names them all."""
    told = [reply.get(name) for name in ("status_url", "response_url", "cancel_url")]
    urls = [url for url in told if isinstance(url, str) and url]
    return Links(*urls) if len(urls) == len(told) else None
