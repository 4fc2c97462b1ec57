"""What a step's answers are held to: the key ``checks`` of a step."""

from typing import Annotated

from pydantic import BaseModel, Field

Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel, strict=True, frozen=True, extra="forbid"):
    pass


class Length(_Strict, frozen=True):
    """How long a text is to be, in characters, and how many may be otherwise."""

    least: int = Field(default=0, ge=0, description="characters of the shortest text wanted")
    most: int | None = Field(default=None, ge=1, description="characters of the longest one wanted")
    share: Share = Field(default=0.0, description="share of texts that may be otherwise")


class Checks(_Strict, frozen=True):
    """Shares of a step's answers above which its checks warn. None: not looked at."""

    empty: Share = Field(default=0.0, description="share of texts without a letter or digit")
    repeated: Share | None = Field(
        default=None, description="share of answers equal to an earlier row's"
    )
    blank: Share = Field(default=0.0, description="share of pictures of one colour")
    length: Length | None = Field(default=None, description="how long texts are to be")
    echo: Share | None = Field(
        default=None, description="share of texts that only repeat the prompt"
    )
    refusals: Share | None = Field(
        default=None, description="share of texts that decline to answer"
    )
    blocking: bool = Field(default=False, description="stop what lies below instead of warning")
