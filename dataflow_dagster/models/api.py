"""What all models behind an API have in common: where they are served, whose key, how patiently."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from dataflow_dagster.engines.openai.client import ApiSettings, find_engine
from dataflow_dagster.engines.openai.providers import Endpoint, find_endpoint
from dataflow_dagster.engines.openai.retries import Patience
from dataflow_dagster.engines.session import Engine
from dataflow_dagster.models.declaration import Model

ModelName = Annotated[
    str,
    Field(
        min_length=1,
        description="the model's name on the server; 'provider:name' takes the provider's address "
        "(openai, anthropic, deepseek, fireworks, google, groq, mistral, ollama, openrouter, "
        "together, xai)",
    ),
]
BaseUrl = Annotated[
    str | None,
    Field(
        min_length=1,
        description="address of an OpenAI-compatible server, such as http://127.0.0.1:8000/v1; "
        "default: the provider's; another address may be another model, so answers are made anew",
    ),
]
ApiKey = Annotated[
    SecretStr | None,
    Field(
        description="the key; better ${VARIABLE} than literal; default: the environment variable "
        "of the provider's own client, such as OPENAI_API_KEY; never shown",
    ),
]
Temperature = Annotated[
    float | None,
    Field(ge=0, le=2, description="0 takes the likeliest token; null: not sent, the server's own"),
]
TopP = Annotated[
    float | None,
    Field(gt=0, le=1, description="keep the likeliest tokens up to this share; null: not sent"),
]

_NAMES: Final = frozenset({"model", "model_id"})
"""Fields of the model's name, which has several spellings."""


class ApiModel(Model):
    """A model on a server that speaks OpenAI's API."""

    old_keys: ClassVar[Mapping[str, str]] = {"api_base": "base_url"}
    outside_key: ClassVar[frozenset[str]] = frozenset(
        {"api_key", "batch_size", "max_num_seqs", "max_retries", "stream", "timeout_s"}
    )
    engines: ClassVar[tuple[str, ...]] = ("openai",)

    base_url: BaseUrl = None
    api_key: ApiKey = None
    max_num_seqs: int = Field(32, ge=1, description="most requests in flight")
    max_retries: int = Field(
        8,
        ge=0,
        description="tries after the first, on 429, 5xx, timeouts and lost connections; about a "
        "minute of waiting in all",
    )
    timeout_s: float = Field(
        600,
        gt=0,
        allow_inf_nan=False,
        description="seconds one try may take; also the longest wait a server may ask for",
    )

    @model_validator(mode="after")
    def _has_an_address(self) -> Self:
        if self.base_url is None or "${" in self.base_url:
            return self
        parts = urlsplit(self.base_url)
        if parts.username is not None or parts.password is not None:
            raise ValueError("base_url holds a user or password; a key belongs into 'api_key'")
        if parts.query or parts.fragment:
            raise ValueError("base_url holds a '?' or '#' part; a key belongs into 'api_key'")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("base_url must be an address such as http://127.0.0.1:8000/v1")
        return self

    def engine(self) -> Engine:
        """See `Model.engine`."""
        return find_engine()

    def key_settings(self) -> dict[str, Any]:
        """See `Model.key_settings`; the server and the model's name there, however written."""
        endpoint = self.endpoint()
        as_written = super().key_settings()
        settings = {key: as_written[key] for key in as_written if key not in _NAMES}
        return {**settings, "served_name": endpoint.model, "base_url": endpoint.base_url}

    def endpoint(self) -> Endpoint:
        """Where the model is served, and its name there."""
        return find_endpoint(self.served_name(), self.base_url)

    @abstractmethod
    def served_name(self) -> str:
        """The model's name as the YAML gives it, perhaps after its provider's."""

    def api_settings(self) -> ApiSettings:
        """What the engine is told of the server."""
        return ApiSettings(
            endpoint=self.endpoint(),
            patience=Patience(self.max_retries, self.timeout_s),
            max_num_seqs=self.max_num_seqs,
            api_key=self.api_key,
        )
