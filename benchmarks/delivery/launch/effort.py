"""`ferrotype serve` whose WebP and AVIF encoders try as hard as told: `... launch.effort EFFORT`.

sharp's default for both is 4, and so are Pillow's method for WebP and libvips's own: with 4 the comparison is
between programs, not between efforts.
"""

from __future__ import annotations

import dataclasses
import sys
from types import MappingProxyType

from ferrotype.app.server import serve
from ferrotype.app.settings import load_settings
from ferrotype.cli.main import run
from ferrotype.imaging import encode
from ferrotype.net.logging import configure

EFFORT = int(sys.argv[1])

if __name__ == "__main__":
    encoders = dict(encode.ENCODERS)
    for name in ("webp", "avif"):
        options = {**encoders[name].options, "effort": EFFORT}
        encoders[name] = dataclasses.replace(encoders[name], options=MappingProxyType(options))
    # The mapping itself is what others imported.
    assert isinstance(encode.ENCODERS, dict)
    encode.ENCODERS.update(encoders)
    settings = load_settings()
    configure(settings.log)
    run(serve(settings))
