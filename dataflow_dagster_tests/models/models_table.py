"""One row per named model: what its class must say, byte for byte."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelRow:
    """Attributes.

    step_type: The step's ``type``.
    name: The step's ``name``.
    model_path: The default one; None: it must be given.
    engines: Those that serve it, the preferred one first.
    reads: The medium it needs.
    writes: The medium it gives.
    asset: The asset's default name.
    template: With ``{p}`` where the prompt goes; None: the row's text as it is.
    defaults: Further keys of ``config`` and their defaults.
    checkpoint: The tiny checkpoint of its architecture that tests run it on.
    """

    step_type: str
    name: str
    model_path: str | None
    engines: tuple[str, ...]
    reads: str
    writes: str
    asset: str
    template: str | None
    defaults: dict[str, object]
    checkpoint: str = ""


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
    "quantization": None,
    "limit_mm_per_prompt": None,
    "mm_processor_kwargs": None,
    "backend": "auto",
}


def captioner(
    name: str,
    model_path: str | None,
    template: str | None,
    engines: tuple[str, ...] = ("vllm", "transformers"),
    checkpoint: str = "",
    **defaults: object,
) -> ModelRow:
    """A row of an image captioner; `defaults` are those unlike `CAPTIONER_DEFAULTS`."""
    return ModelRow(
        "ImageCaptioner",
        name,
        model_path,
        engines,
        "image",
        "text",
        "captions",
        template,
        {**CAPTIONER_DEFAULTS, **defaults},
        checkpoint,
    )


GENERATOR_DEFAULTS: dict[str, object] = {
    "height": 1024,
    "width": 1024,
    "guidance_scale": 4.5,
    "num_inference_steps": 50,
    "max_sequence_length": 512,
    "negative_prompt": None,
    "batch_size": 1,
    "compile": False,
    "cpu_offload": False,
    "vae_tiling": False,
    "cache": None,
    "quantization": None,
    "dtype": "auto",
    "device": "auto",
    "repeat_time": 1,
    "seed": None,
}


def generator(name: str, model_path: str | None, checkpoint: str, **defaults: object) -> ModelRow:
    """A row of an image generator; `defaults` are those unlike `GENERATOR_DEFAULTS`."""
    return ModelRow(
        "ImageGenerator",
        name,
        model_path,
        ("diffusers",),
        "text",
        "image",
        "generated_images",
        None,
        {**GENERATOR_DEFAULTS, **defaults},
        checkpoint,
    )


MODELS = [
    captioner(
        "BLIPCaptioner",
        "Salesforce/blip2-opt-2.7b",
        "Question: {p} Answer:",
        checkpoint="blip2",
    ),
    captioner(
        "LLaVACaptioner",
        "llava-hf/llava-1.5-7b-hf",
        "USER: <image>\n{p}\nASSISTANT:",
        checkpoint="llava",
    ),
    captioner(
        "LLaVANeXTCaptioner",
        "llava-hf/llava-v1.6-mistral-7b-hf",
        "[INST] <image>\n{p} [/INST]",
        checkpoint="llava_next",
        prompt="What is shown in this image?",
        max_model_len=8192,
    ),
    captioner(
        "LLaVAOneVisionCaptioner",
        "llava-hf/llava-onevision-qwen2-7b-ov-hf",
        "<|im_start|>user <image>\n{p}<|im_end|><|im_start|>assistant\n",
        checkpoint="llava_onevision",
    ),
    captioner(
        "MLLamaCaptioner",
        "meta-llama/Llama-3.2-11B-Vision-Instruct",
        "<|image|><|begin_of_text|>{p}",
        ("transformers",),
        checkpoint="mllama",
        tensor_parallel_size=8,
        repetition_penalty=1,
    ),
    captioner(
        "Phi3VCaptioner",
        "microsoft/Phi-3-vision-128k-instruct",
        "<|user|>\n<|image_1|>\n{p}<|end|>\n<|assistant|>\n",
        ("vllm",),
        num_crops=16,
        max_model_len=4096,
    ),
    captioner(
        "QwenVLCaptioner",
        "Qwen/Qwen2-VL-7B-Instruct",
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        "<|vision_start|><|image_pad|><|vision_end|>{p}<|im_end|>\n<|im_start|>assistant\n",
        checkpoint="qwen2_vl",
    ),
    captioner("VLMCaptioner", None, None, checkpoint="llava_next"),
    generator("FLUXGenerator", "black-forest-labs/FLUX.1-dev", "flux", true_cfg_scale=1),
    generator(
        "StableDiffusionGenerator",
        "stabilityai/stable-diffusion-3.5-large",
        "sd3",
        num_inference_steps=28,
    ),
    generator(
        "DiffusersGenerator",
        None,
        "sd3",
        height=None,
        width=None,
        guidance_scale=None,
        num_inference_steps=None,
        max_sequence_length=None,
        pipeline_kwargs=None,
    ),
]
