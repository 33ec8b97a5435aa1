"""How long the bytes of a copy stay after its row, so that nobody who was sent there finds nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from ferrotype.http.picture_headers import REDIRECT_SECONDS
from ferrotype.services.drop import GRACE
from ferrotype.storage.registry import DISK, StorePlan


def graces(plan: StorePlan) -> Mapping[str, timedelta]:
    """By store: as long as a browser may keep the way there, or as its signed URLs are good."""
    found = {DISK: GRACE}
    for name, each in plan.configured.items():
        known = each.settings
        signed = getattr(known, "presigned_seconds", 0) if getattr(known, "presigned", False) else 0
        leads = signed or getattr(known, "public_url", None) or getattr(known, "public", False)
        found[name] = GRACE + timedelta(seconds=max(signed, REDIRECT_SECONDS if leads else 0))
    return found
