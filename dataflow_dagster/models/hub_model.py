"""What all models have in common whose weights lie in a folder or on the Hugging Face Hub."""

from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from dataflow_dagster.engines.checkpoint import check_model_path, commit_of
from dataflow_dagster.engines.hub import fetched
from dataflow_dagster.models.declaration import Model
from dataflow_dagster.places import at_home

ModelPath = Annotated[
    str,
    Field(min_length=1, description="folder of the weights, or a name on the Hub"),
    AfterValidator(at_home),
]
Revision = Annotated[
    str | None,
    Field(min_length=1, description="branch, tag or commit on the Hub; default: main"),
]


class HubModel(Model):
    """A model with weights of its own."""

    model_path: ModelPath
    revision: Revision = None

    def fetch(self, say: Callable[[str], None]) -> None:
        """See `Model.fetch`."""
        check_model_path(self.model_path)
        self.folder(say)

    def notes(self) -> Mapping[str, str]:
        """See `Model.notes`: the commit that ``main``, a branch or a tag meant when it was read."""
        commit = commit_of(self.folder())
        return {} if commit is None else {"revision": commit}

    def folder(self, say: Callable[[str], None] | None = None) -> str:
        """Where the weights lie on this host; fetched where they are not there yet."""
        return fetched(self.model_path, self.revision, folder=self.kept_in(), say=say)

    def kept_in(self) -> str | None:
        """The folder for models of the Hub; None: the Hub's cache."""
        return None
