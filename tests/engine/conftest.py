from __future__ import annotations

import pytest

# The suites are no test modules themselves, and should explain their failures all the same.
for module in ("conformance", "fairness", "leasing", "machine", "rig", "waking"):
    pytest.register_assert_rewrite(f"{__package__}.{module}")
