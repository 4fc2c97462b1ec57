"""A step that is no model: a Python function of the user's own."""

from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from dataflow_dagster.engines.functions import ENGINE, open_function, source_version, takes_row
from dataflow_dagster.engines.session import Engine, Request, Session
from dataflow_dagster.models.declaration import Given, Model
from dataflow_dagster.registry import register
from dataflow_dagster.rows import Medium

_NAME = r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"


@register("Function")
class PythonFunction(Model):
    """Any function ``(text, **settings) -> str | None`` that Python can import.

    ```yaml
    - type: Function
      name: my_package.cleaning:clean_text
      config:
        settings: {most_words: 40}
    ```

    One with a parameter ``row`` is given the row in place of the text, as a dict of the user's
    columns and ours; then rows without a text are not skipped.

    ValueError costs the row (kind ``rejected``), and so does None: the row is kept, with its
    reason. A `RowError` gives the row a kind of its own; any other exception costs the row as
    ``function_failed``. An edit of the function's module makes all answers anew; what that
    module imports is not looked at, which is what `version` is for.
    Names are those of entry points:
    https://packaging.python.org/en/latest/specifications/entry-points/#data-model
    """

    reads: ClassVar[Medium] = "text"
    writes: ClassVar[Medium] = "text"
    asset: ClassVar[str] = "texts"
    engines: ClassVar[tuple[str, ...]] = ("python",)
    named_by: ClassVar[str | None] = "function"

    function: str = Field(
        pattern=_NAME,
        description="module:name of the function, such as my_package.cleaning:clean_text",
        json_schema_extra={"expected": "module:name, such as my_package.cleaning:clean_text"},
    )
    settings: dict[str, Any] = Field({}, description="keyword arguments of every call")
    version: int = Field(
        1, description="to be raised when what the function's module imports answers differently"
    )

    @model_validator(mode="after")
    def _is_there(self) -> Self:
        module = self.function.partition(":")[0]
        if source_version(self.function) is None:
            raise ValueError(f"function names the module '{module}', which Python does not find")
        return self

    def engine(self) -> Engine:
        """Python itself, in the step's process."""
        return ENGINE

    def request(self, given: Given) -> Request:
        """The row's text as it is, and the row where the function takes that."""
        return Request(given.number, given.seed, given.text or "", row=given.row)

    def takes_row(self) -> bool:
        """See `Model.takes_row`; told by the function's parameters."""
        return takes_row(self.function)

    def open(self, engine: Engine) -> Session:
        """See `Model.open`."""
        del engine  # there is but one
        return open_function(self.function, self.settings)

    def key_settings(self) -> dict[str, Any]:
        """See `Model.key_settings`; the module's own text stands in it."""
        return {**super().key_settings(), "source": source_version(self.function)}
