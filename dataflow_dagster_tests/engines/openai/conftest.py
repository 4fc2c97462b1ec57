from collections.abc import Iterator

import pytest

from dataflow_dagster_tests.engines.api_server import ApiServer


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer().running() as running:
        yield running
