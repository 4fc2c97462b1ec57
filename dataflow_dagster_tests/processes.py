"""What a test leaves running behind it."""

import psutil


class Children:
    """Processes of this one's that were begun since; other tests' helpers may run on."""

    def __init__(self) -> None:
        self._before = {child.pid for child in _all(recursive=True)}

    def running(self, *, recursive: bool = False) -> list[psutil.Process]:
        """Those that have not ended."""
        return [child for child in _all(recursive=recursive) if child.pid not in self._before]


def _all(*, recursive: bool) -> list[psutil.Process]:
    return psutil.Process().children(recursive=recursive)
