"""What a single value of a pipeline YAML may be: each with the words its error is told in."""

from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from dataflow_dagster.places import at_home
from dataflow_dagster.rows import PREFIX
from dataflow_dagster.schema.cron import checked_cron

# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/; bare bytes only
# where they can be meant: 32 without its Gi is a slip.
_QUANTITY = r"^([0-9]+(\.[0-9]+)?([kMGTPE]|[KMGTPE]i|[eE][0-9]+)|[0-9]{6,})\Z"
_TAG_KEY = r"^([A-Za-z0-9_.-]{1,63}/|dagster/kind/)?[A-Za-z0-9_.-]{1,63}\Z"
_OWNER = r"^(team:.+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7})\Z"


def _text(pattern: str, expected: str) -> Any:
    return Field(pattern=pattern, json_schema_extra={"expected": expected})


LONGEST_NAME = 100
"""Characters: what is appended to a name fits into the 255 that file systems allow."""

Place = Annotated[str, Field(min_length=1), AfterValidator(at_home)]
Folder = Annotated[
    str,
    _text(
        r"^(?!(?i:https?|data|memory|ftp)://)(?![A-Za-z0-9+.-]+://([^/]*:[^/]*@|/*\Z))[\s\S]+\Z",
        "a folder on this machine, or the URL of one in a store that can be written and that all"
        " processes see, such as s3://bucket/folder, without a password: credentials come from the"
        " environment",
    ),
    AfterValidator(at_home),
]
Name = Annotated[
    str,
    _text(
        rf"^[A-Za-z0-9_]{{1,{LONGEST_NAME}}}\Z",
        f"a name of letters (a to z), digits and _, at most {LONGEST_NAME} of them",
    ),
]
Column = Annotated[
    str, _text(rf"^(?!{PREFIX})[^\r\n]+\Z", f"a column's name, which does not begin with {PREFIX}")
]
Owner = Annotated[str, _text(_OWNER, "an e-mail address or team:NAME")]
TagKey = Annotated[str, _text(_TAG_KEY, "a key of letters, digits and _ . -, up to 63 of them")]
Pool = Annotated[str, _text(r"^[^\s$]+\Z", "a pool's name, without spaces")]
Quantity = Annotated[str, _text(_QUANTITY, "a Kubernetes quantity such as 32Gi or 500M")]
Host = Annotated[
    str,
    _text(
        r"^((\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?\Z",
        "a host such as images.example.org, *.example.org or 10.0.0.5:8080",
    ),
]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Variable = Annotated[
    str,
    _text(
        r"^(?!CUDA_VISIBLE_DEVICES\Z|DATAFLOW_GPUS\Z|DATAFLOW_GPU_LOCKS\Z)[A-Za-z_][A-Za-z0-9_]*\Z",
        "a variable's name; which GPUs a step sees is said by 'gpus'",
    ),
]
Cores = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("no such time zone is known; write one as Europe/Berlin") from None
    return name


Cron = Annotated[str, AfterValidator(checked_cron)]
Timezone = Annotated[str, AfterValidator(_zone)]
