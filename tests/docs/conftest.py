from tests.flows.conftest import client  # noqa: F401
