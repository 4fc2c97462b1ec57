"""Libraries that a test needs: missing ones skip it on a user's machine, and fail it in CI."""

import os
from importlib.util import find_spec

import pytest


def require(module: str, reason: str) -> None:
    """Skip the test, or fail it in CI, where `module` is not installed."""
    package = module.partition(".")[0]
    if find_spec(package) is not None and find_spec(module) is not None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI runs with {module} installed: {reason}")
    pytest.skip(reason)
