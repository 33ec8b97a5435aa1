"""Any Cog server (https://cog.run): models as Replicate packs them, on your own machine.

A Cog server has no queue (409 while its slots are taken), no GET of predictions, and keeps nothing of those
that ended. How a result gets here follows from that:

- held (always possible): `PUT /predictions/{attempt_id}` without `Prefer` is answered by the result itself.
  The request is kept open in the background; where its connection breaks, Cog stops the work, so nothing is
  left to go back to after a restart of ours.
- by webhook (with `webhook_secret` and a public URL): `Prefer: respond-async`, and the last webhook's body is
  the result. Cog signs nothing; but a user and a password in the webhook's address come back as
  `Authorization: Basic`, so each address carries a password of its own, and a body without it is not used.

While it runs, a PUT of the same id answers with its state (202), before it looks at the inputs. Such a look
is made with inputs that no schema allows (`[]`): it can read and never start anything, also when the call has
ended meanwhile. Servers before 0.17 (Python) check the inputs first, and those without a schema do not check
them: neither is looked at.

Read in the sources of cog 0.9, 0.16 and 0.22 and its docs/http.md; recorded from 0.23.1
(tests/transcripts/cog), and tested with 0.23.1 and 0.16.12 themselves (tests/sdk/test_cog_real.py).
"""

from typing import Final

from ferrotype.providers.cog.provider import CogProvider
from ferrotype.providers.cog.settings import CogSettings
from ferrotype.providers.connections import Kind

COG: Final = Kind(
    CogSettings, CogProvider.traits, lambda settings, name, clock: CogProvider(settings, clock, name=name)
)

__all__ = ["COG", "CogProvider", "CogSettings"]
