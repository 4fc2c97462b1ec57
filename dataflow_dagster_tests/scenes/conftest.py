from collections.abc import Iterator

import pytest


@pytest.fixture
def torch_threads() -> Iterator[None]:
    """Gives torch its threads back: training takes one, for the whole process."""
    import torch

    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
