"""Pictures small enough to stand in an event of the run's log."""

from base64 import b64encode
from io import BytesIO
from pathlib import Path

from dataflow_dagster.factory.tables import cell
from dataflow_dagster.media.pictures import read_picture
from dataflow_dagster.rows import RowError

SIDE = 80
_QUALITY = 70
_MOST_PIXELS = 50_000_000


def thumbnail(path: Path) -> str:
    """A picture as markdown, at most `SIDE` pixels a side: some 2 kB; or why there is none."""
    try:
        picture = read_picture(path, max_pixels=_MOST_PIXELS)
    except RowError as error:
        return cell(error.kind)
    picture.thumbnail((SIDE, SIDE))
    file = BytesIO()
    picture.save(file, format="JPEG", quality=_QUALITY)
    return f"![](data:image/jpeg;base64,{b64encode(file.getvalue()).decode()})"
