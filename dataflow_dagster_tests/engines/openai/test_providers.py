import pytest
from pydantic import SecretStr

from dataflow_dagster.engines.errors import EngineRefusedError
from dataflow_dagster.engines.openai.providers import find_endpoint, find_key

LOCAL = "http://127.0.0.1:8000/v1"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "MISTRAL_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("given", "base_url", "model", "address"),
    [
        ("gpt-4o", None, "gpt-4o", "https://api.openai.com/v1"),
        ("openai:gpt-4o", None, "gpt-4o", "https://api.openai.com/v1"),
        ("mistral:pixtral", None, "pixtral", "https://api.mistral.ai/v1"),
        ("ollama:llama3:8b", None, "llama3:8b", "http://localhost:11434/v1"),
        ("llama3:8b", LOCAL, "llama3:8b", LOCAL),
        ("ft:gpt-4o:me", None, "ft:gpt-4o:me", "https://api.openai.com/v1"),
        ("openai:gpt-4o", LOCAL, "gpt-4o", LOCAL),
        ("x", LOCAL + "/", "x", LOCAL),
        ("x", LOCAL + "/chat/completions", "x", LOCAL),
        ("x", LOCAL + "/images/generations/", "x", LOCAL),
    ],
)
def test_a_model_and_an_address_name_a_server(
    given: str, base_url: str | None, model: str, address: str
) -> None:
    endpoint = find_endpoint(given, base_url)
    assert (endpoint.model, endpoint.base_url) == (model, address)


def test_the_clients_own_variables_are_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", LOCAL)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-env")
    endpoint = find_endpoint("gpt-4o", None)
    assert endpoint.base_url == LOCAL
    assert find_key(endpoint, None) == "sk-env"
    assert find_key(endpoint, SecretStr("sk-yaml\n")) == "sk-yaml"


def test_a_provider_has_a_variable_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    with pytest.raises(EngineRefusedError, match="MISTRAL_API_KEY"):
        find_key(find_endpoint("mistral:pixtral", None), None)
    monkeypatch.setenv("MISTRAL_API_KEY", "sk-mistral")
    assert find_key(find_endpoint("mistral:pixtral", None), None) == "sk-mistral"


def test_a_public_server_wants_a_key_and_one_of_ones_own_does_not() -> None:
    with pytest.raises(EngineRefusedError, match="OPENAI_API_KEY"):
        find_key(find_endpoint("gpt-4o", None), SecretStr(""))
    assert find_key(find_endpoint("x", LOCAL), None) == "none"
    assert find_key(find_endpoint("ollama:x", None), None) == "none"


def test_a_key_that_cannot_be_sent_is_told_without_showing_it() -> None:
    with pytest.raises(EngineRefusedError, match="no HTTP header") as refused:
        find_key(find_endpoint("x", LOCAL), SecretStr("sk-sëcret"))
    assert "cret" not in str(refused.value)
