from dataclasses import replace

from dataflow_dagster.engines.vllm.terms import engine_arguments
from dataflow_dagster_tests.engines.requests import VLLM, language

CUDA = replace(VLLM, device="cuda", precision="bfloat16")


def test_settings_for_gpus_reach_vllm() -> None:
    settings = language(
        tensor_parallel_size=4,
        gpu_memory_utilization=0.7,
        max_model_len=2048,
        max_num_seqs=64,
        trust_remote_code=True,
    )
    arguments = engine_arguments(CUDA, settings)
    assert arguments["dtype"] == "bfloat16"
    assert not arguments["enforce_eager"]
    for name in (
        "tensor_parallel_size",
        "gpu_memory_utilization",
        "max_model_len",
        "max_num_seqs",
        "trust_remote_code",
    ):
        assert arguments[name] == getattr(settings, name)


def test_what_is_left_out_is_left_to_vllm() -> None:
    assert "gpu_memory_utilization" not in engine_arguments(CUDA, language())


def test_a_cpu_compiles_nothing() -> None:
    assert engine_arguments(VLLM, language())["enforce_eager"]


def test_settings_of_weights_and_pictures_reach_vllm() -> None:
    settings = language(
        quantization="fp8", mm_processor_kwargs={"num_crops": 4}, limit_mm_per_prompt={"audio": 1}
    )
    arguments = engine_arguments(CUDA, settings)
    assert arguments["quantization"] == "fp8"
    assert arguments["mm_processor_kwargs"] == {"num_crops": 4}
    assert arguments["limit_mm_per_prompt"] == {"image": 1, "video": 0, "audio": 1}


def test_memory_is_kept_for_one_picture_and_no_video() -> None:
    assert engine_arguments(VLLM, language())["limit_mm_per_prompt"] == {"image": 1, "video": 0}
