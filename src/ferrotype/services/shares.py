"""Shares: unlisted pages that show some pictures to whoever has their URL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from ferrotype.db import assets, generations, shares
from ferrotype.db.database import Database, Transaction
from ferrotype.db.shares import Share
from ferrotype.domain.asset import Asset
from ferrotype.domain.clock import Clock, rfc3339, rfc3339_or_none
from ferrotype.domain.ids import is_id, new_id
from ferrotype.domain.problems import Gone, InvalidField, NotFound
from ferrotype.domain.states import AssetState
from ferrotype.services.envelopes import Envelope

#: Seconds that a share may live; without an end it lives until it is revoked.
SHORTEST: Final = 60
LONGEST: Final = 10 * 365 * 24 * 3600
#: What a page says whose address leads nowhere.
UNKNOWN: Final = "Perhaps its address was not copied whole: ask whoever sent it to you."


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a page, with its prompt where that may be told."""

    asset: Asset
    prompt: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What a share's page shows; at least one picture."""

    share: Share
    pictures: Sequence[Picture]


class Shares:
    """Makes, lists and revokes them, and finds what their pages show."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(
        self,
        account_id: str,
        asset_ids: Sequence[str],
        base_url: str,
        *,
        title: str | None = None,
        expires_in: int | None = None,
        show_prompt: bool = False,
    ) -> Envelope:
        """A new page of these pictures, each once. Raises NotFound or Gone naming the first of `asset_ids`
        that cannot be shown, and InvalidField for a life that is too short or too long."""
        if expires_in is not None and not SHORTEST <= expires_in <= LONGEST:
            detail = f"A share lives for {SHORTEST} to {LONGEST} s, or without an end."
            raise InvalidField(detail, field="expires_in", limit=[SHORTEST, LONGEST])
        now, wanted = self._clock.now(), list(dict.fromkeys(asset_ids))
        share = Share(
            id=new_id(),
            account_id=account_id,
            title=title or ("A picture" if len(wanted) == 1 else f"{len(wanted)} pictures"),
            asset_ids=wanted,
            show_prompt=show_prompt,
            created_at=now,
            expires_at=None if expires_in is None else now + timedelta(seconds=expires_in),
        )

        def story(tx: Transaction) -> None:
            found = assets.of_ids(tx, [each for each in wanted if is_id(each)])
            for number, asset_id in enumerate(asset_ids):
                asset = found.get(asset_id)
                if asset is None or asset.account_id != account_id:
                    raise NotFound(f"There is no asset {asset_id[:64]!r}.", field=f"asset_ids[{number}]")
                if asset.deleted_at is not None:
                    raise Gone(f"The asset {asset_id} was deleted.", field=f"asset_ids[{number}]")
            shares.add(tx, share)

        await self._database.write(story)
        return _envelope(share, base_url)

    async def page(
        self, account_id: str, limit: int, cursor: str | None, base_url: str
    ) -> tuple[list[Envelope], str | None]:
        """Newest first, those that have ended included; and the cursor of the next page."""
        found = await self._database.read(lambda tx: shares.page(tx, account_id, limit + 1, cursor))
        more = found[limit - 1].id if len(found) > limit else None
        return [_envelope(share, base_url) for share in found[:limit]], more

    async def show(self, share_id: str, account_id: str, base_url: str) -> Envelope:
        """One share. Raises NotFound."""
        return _envelope(await self._database.read(lambda tx: _own(tx, share_id, account_id)), base_url)

    async def revoke(self, share_id: str, account_id: str) -> None:
        """Show it no more, from now on; again is no error. Raises NotFound."""

        def story(tx: Transaction) -> None:
            _own(tx, share_id, account_id)
            shares.revoke(tx, share_id, self._clock.now())

        await self._database.write(story)

    async def open(self, share_id: str) -> Shown:
        """What whoever has its URL sees: pictures that were deleted or never came are not there.

        Raises NotFound, or Gone for a share that has ended or has no picture left.
        """

        def story(tx: Transaction) -> Shown:
            share = shares.get(tx, share_id) if is_id(share_id) else None
            if share is None:
                raise NotFound(UNKNOWN)
            if share.revoked_at is not None:
                raise Gone("Whoever shared these pictures has taken the page back.")
            if share.expires_at is not None and share.expires_at <= self._clock.now():
                raise Gone("This page was shared for a while only, and that is over.")
            found = assets.of_ids(tx, share.asset_ids)
            standing = [found[each] for each in share.asset_ids if each in found and _stands(found[each])]
            if not standing:
                raise Gone("The pictures that were shared here have been deleted.")
            prompts = _prompts(tx, standing) if share.show_prompt else {}
            return Shown(share, [Picture(each, prompts.get(each.generation_id or "")) for each in standing])

        return await self._database.read(story)


def _prompts(tx: Transaction, pictures: Sequence[Asset]) -> dict[str, str]:
    """Prompts by generation id."""
    ids = sorted({asset.generation_id for asset in pictures if asset.generation_id is not None})
    return {key: str(made.input.get("prompt") or "") for key, made in generations.of_ids(tx, ids).items()}


def _stands(asset: Asset) -> bool:
    return asset.deleted_at is None and asset.state is not AssetState.FAILED


def _own(tx: Transaction, share_id: str, account_id: str) -> Share:
    found = shares.get(tx, share_id)
    if found is None or found.account_id != account_id:
        raise NotFound(f"There is no share {share_id}.")
    return found


def _envelope(share: Share, base_url: str) -> Envelope:
    return {
        "id": share.id,
        "object": "share",
        "title": share.title,
        "url": f"{base_url}/s/{share.id}",
        "asset_ids": list(share.asset_ids),
        "show_prompt": share.show_prompt,
        "created_at": rfc3339(share.created_at),
        "expires_at": rfc3339_or_none(share.expires_at),
        "revoked_at": rfc3339_or_none(share.revoked_at),
    }
