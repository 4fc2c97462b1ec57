"""One row per named model: what its class must say, byte for byte."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelRow:
    """Attributes.

    step_type: The step's ``type``.
    name: The step's ``name``.
    model_path: The default one.
    engines: Those that serve it, the preferred one first.
    reads: The medium it needs.
    writes: The medium it gives.
    asset: The asset's default name.
    template: With ``{p}`` where the prompt goes; None: the row's text as it is.
    defaults: Further keys of ``config`` and their defaults.
    """

    step_type: str
    name: str
    model_path: str
    engines: tuple[str, ...]
    reads: str
    writes: str
    asset: str
    template: str | None
    defaults: dict[str, object]


CAPTIONER_DEFAULTS: dict[str, object] = {
    "trust_remote_code": False,
    "tensor_parallel_size": 1,
    "max_model_len": None,
    "max_num_seqs": 128,
    "temperature": 0.6,
    "top_p": 0.9,
    "top_k": 50,
    "repetition_penalty": 1.2,
    "prompt": "What is the content of this image?",
    "repeat_time": 1,
    "batch_size": None,
    "max_tokens": 256,
    "seed": None,
    "dtype": "auto",
    "device": "auto",
    "gpu_memory_utilization": None,
    "backend": "auto",
}

MODELS = [
    ModelRow(
        "ImageCaptioner",
        "LLaVACaptioner",
        "llava-hf/llava-1.5-7b-hf",
        ("vllm", "transformers"),
        "image",
        "text",
        "captions",
        "USER: <image>\n{p}\nASSISTANT:",
        CAPTIONER_DEFAULTS,
    ),
    ModelRow(
        "ImageGenerator",
        "FLUXGenerator",
        "black-forest-labs/FLUX.1-dev",
        ("diffusers",),
        "text",
        "image",
        "generated_images",
        None,
        {
            "height": 1024,
            "width": 1024,
            "guidance_scale": 4.5,
            "num_inference_steps": 50,
            "max_sequence_length": 512,
            "batch_size": 1,
            "dtype": "auto",
            "device": "auto",
            "repeat_time": 1,
            "seed": None,
        },
    ),
]
