"""Where a model of an API is served: ``provider:model`` → address, and whose key."""

import os
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from dataflow_dagster.engines.errors import EngineRefusedError


@dataclass(frozen=True, slots=True)
class Provider:
    """A public server that speaks OpenAI's API.

    Attributes:
        base_url: Its address.
        key_variable: The environment variable its own client reads the key from.
    """

    base_url: str
    key_variable: str


PROVIDERS: Final = {
    "openai": Provider("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "anthropic": Provider("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    "deepseek": Provider("https://api.deepseek.com", "DEEPSEEK_API_KEY"),
    "fireworks": Provider("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "google": Provider("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    "groq": Provider("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "mistral": Provider("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "ollama": Provider("http://localhost:11434/v1", "OLLAMA_API_KEY"),
    "openrouter": Provider("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "together": Provider("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "xai": Provider("https://api.x.ai/v1", "XAI_API_KEY"),
}
"""Of each provider the documented OpenAI-compatible address; any other server by `base_url`."""

NO_KEY: Final = "none"
"""Sent to a server of one's own, as OpenAI's client sends nothing without a key."""

_ENDPOINTS = ("/chat/completions", "/images/generations")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The server that answers, and the model's name there.

    Attributes:
        model: Without the provider.
        base_url: Without a slash at the end.
        key_variable: Where the key is looked for when the YAML gives none.
        is_public: The provider's own address, which wants a key.
    """

    model: str
    base_url: str
    key_variable: str
    is_public: bool


def find_endpoint(model: str, base_url: str | None) -> Endpoint:
    """What `model` and `base_url` of a step mean.

    A prefix that is no provider belongs to the name (``llama3:8b``, ``ft:gpt-4o:…``). For OpenAI
    the client's own variable OPENAI_BASE_URL is honoured.
    """
    prefix, _, rest = model.partition(":")
    known = prefix if prefix in PROVIDERS and rest else "openai"
    provider = PROVIDERS[known]
    if base_url is None and known == "openai":
        base_url = os.environ.get("OPENAI_BASE_URL")
    address = (base_url or provider.base_url).rstrip("/")
    for ending in _ENDPOINTS:
        address = address.removesuffix(ending)
    public = address == provider.base_url and known != "ollama"
    return Endpoint(rest if prefix == known else model, address, provider.key_variable, public)


def find_key(endpoint: Endpoint, given: SecretStr | None) -> str:
    """The key to send; a server of one's own gets ``none`` where there is no key.

    Raises:
        EngineRefusedError: There is no key, or it cannot be sent. It is not shown.
    """
    literal = given.get_secret_value().strip() if given is not None else ""
    key = literal or os.environ.get(endpoint.key_variable, "").strip()
    if not key and endpoint.is_public:
        raise EngineRefusedError(
            f"{endpoint.base_url} wants a key: give config key 'api_key', as text or as "
            f"${{VARIABLE}}, or set the environment variable {endpoint.key_variable}"
        )
    if not (key.isascii() and key.isprintable()):
        raise EngineRefusedError("config key 'api_key' holds characters that no HTTP header may")
    return key or NO_KEY
