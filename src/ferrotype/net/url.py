"""URLs as text: reading them without touching what a signature may cover, and following redirects."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from yarl import URL

from ferrotype.domain.problems import InvalidField, OriginUnavailable


def parse(text: str, field: str = "url") -> URL:
    """`text` as a URL whose path and query stay as they are written, since a signature may cover them.

    Raises InvalidField naming `field`.
    """
    try:
        url = URL(text)
        if url.raw_host is None or not (text.isascii() and text.isprintable() and " " not in text):
            return url
        parts = urlsplit(text)
        return URL.build(
            scheme=url.scheme,
            user=url.raw_user,
            password=url.raw_password,
            host=f"[{url.raw_host}]" if ":" in url.raw_host else url.raw_host,
            port=url.explicit_port,
            path=parts.path or "/",
            query_string=parts.query,
            encoded=True,
        )
    except ValueError as error:
        raise InvalidField(f"This is no address that can be fetched: {error}.", field=field) from None


def target(url: URL, location: str | None) -> URL:
    """Where a redirect from `url` leads. Raises OriginUnavailable when that is nowhere."""
    if not location:
        raise OriginUnavailable(f"{url.host} redirects without saying where to.")
    try:
        return parse(urljoin(str(url), location))
    except (InvalidField, ValueError):
        raise OriginUnavailable(f"{url.host} redirects to something that is no address.") from None


def same_party(old: URL, new: URL) -> bool:
    """Same host and port; going from http to https on their usual ports counts, the way back does not."""
    if old.raw_host != new.raw_host:
        return False
    upgrade = (old.scheme, old.port, new.scheme, new.port) == ("http", 80, "https", 443)
    return upgrade or (old.scheme, old.port) == (new.scheme, new.port)
