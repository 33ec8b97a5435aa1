"""Who may load which picture: signatures, private pictures, and who may have pictures transformed."""

from __future__ import annotations

from typing import Final, Literal

from cachebox import LRUCache
from starlette.datastructures import Headers

from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import Forbidden
from ferrotype.http.access import Access
from ferrotype.http.asgi import Scope
from ferrotype.http.picture_query import Query
from ferrotype.net.signing import SIGNATURE, UrlSigner

#: Bytes of URLs whose signatures are remembered to be good, and what one takes beside its text.
REMEMBERED_BYTES: Final = 4 * 1024 * 1024
URL_BYTES: Final = 512


class PictureAccess:
    """Decides on each request for a picture that is not answered from memory at once."""

    def __init__(
        self, access: Access, signer: UrlSigner, clock: Clock, transforms: Literal["any", "signed"] = "any"
    ) -> None:
        """`transforms` `signed`: only presets, signed URLs and callers with the API key may transform."""
        self._access = access
        self._signer = signer
        self._clock = clock
        self._only_signed = transforms == "signed"
        self._good: LRUCache[tuple[str, bytes], int] = LRUCache(
            REMEMBERED_BYTES, getsizeof=lambda name, _: len(name[1]) + URL_BYTES
        )

    def seconds_left(self, scope: Scope, query: Query) -> float | None:
        """How long the signature of the URL is still good; None for a URL without one.

        Raises Forbidden for a signature that is wrong or has expired.
        """
        if not query.signed:
            return None
        path = scope["path"]
        name = path, scope["query_string"]
        expires: int | None = self._good.get(name)
        left = -1.0 if expires is None else expires - self._clock.now().timestamp()
        if left <= 0:
            expires = self._signer.check(path, query.pairs)
            assert expires is not None
            self._good[name] = expires
            left = expires - self._clock.now().timestamp()
        return left

    def check_transform(self, scope: Scope, query: Query, *, signed: bool) -> None:
        """Raise Forbidden for a transform that this caller may not ask for."""
        if not signed and not self._is_free(query) and not self._access.holds_key(Headers(scope=scope)):
            raise Forbidden(
                "Pictures are only transformed by a preset or a signed URL here.", field=SIGNATURE
            )

    def is_open(self, query: Query) -> bool:
        """Whether such a query may be answered without another look at who asks."""
        return not query.signed and self._is_free(query)

    def check_private(self, scope: Scope, *, signed: bool) -> None:
        """Raise Unauthorized or Forbidden for a caller that may not see a private picture."""
        if not signed:
            self._access.check(scope["path"], Headers(scope=scope))

    def _is_free(self, query: Query) -> bool:
        return not self._only_signed or query.preset or not query.canonical
