"""A model whose decoding is real and whose engine answers at once."""

from pathlib import Path

from dataflow_dagster.engines.session import Answer, Request
from dataflow_dagster.media.pictures import read_picture
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.registry import register
from dataflow_dagster_tests.steps.probes import Look

SIDE = 336


@register("Probe")
class Instant(Look):
    """Looks at pictures of 336x336."""

    def request(self, given: Given) -> Request:
        """The picture, scaled."""
        picture = read_picture(Path(str(given.image))).resize((SIDE, SIDE))
        return Request(given.number, given.seed, "", picture)

    def good_answer(self, request: Request) -> Answer:
        """Nothing is looked at."""
        return Answer(text="seen")
