"""Rows of `models_table` for models that read or write by other ways: an API, text, a function."""

from dataflow_dagster_tests.models.models_table import ModelRow

SERVER: dict[str, object] = {
    "base_url": None,
    "api_key": None,
    "max_num_seqs": 32,
    "max_retries": 8,
    "timeout_s": 600,
    "repeat_time": 1,
    "seed": None,
}

CAPTIONER: dict[str, object] = {
    **SERVER,
    "model": "gpt-4o",
    "sys_prompt": "You are a helpful assistant.",
    "prompt": "What is the content of this image?",
    "temperature": 0.2,
    "top_p": None,
    "max_tokens": None,
    "batch_size": None,
    "max_side": 2048,
}

TEXT: dict[str, object] = {
    **SERVER,
    "temperature": None,
    "top_p": None,
    "max_tokens": 256,
    "stop": None,
    "presence_penalty": None,
    "frequency_penalty": None,
}

LOCAL: dict[str, object] = {
    "download_dir": None,
    "quantization": None,
    "prompt": "",
    "chat_template": False,
    "temperature": 0.75,
    "top_p": 1,
    "top_k": -1,
    "min_p": 0,
    "repetition_penalty": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "stop": None,
    "stop_token_ids": None,
    "min_tokens": 0,
    "ignore_eos": False,
    "skip_special_tokens": True,
    "include_stop_str_in_output": False,
    "max_tokens": 256,
    "max_model_len": None,
    "max_num_seqs": 128,
    "batch_size": None,
    "tensor_parallel_size": 1,
    "gpu_memory_utilization": None,
    "dtype": "auto",
    "device": "auto",
    "backend": "auto",
    "trust_remote_code": False,
    "repeat_time": 1,
    "seed": None,
}


def served(
    step_type: str, name: str, reads: str, writes: str, asset: str, defaults: dict[str, object]
) -> ModelRow:
    return ModelRow(step_type, name, None, ("openai",), reads, writes, asset, None, defaults)


SERVED_MODELS = [
    served("ImageCaptioner", "GPTCaptioner", "image", "text", "captions", CAPTIONER),
    served("ImageCaptioner", "ImageAPICaptioner", "image", "text", "captions", CAPTIONER),
    served(
        "ImageGenerator",
        "ImageAPIGenerator",
        "text",
        "image",
        "generated_images",
        {
            **SERVER,
            "model": "dall-e-3",
            "height": 1024,
            "width": 1024,
            "quality": None,
            "max_num_seqs": 8,
        },
    ),
    served(
        "TextGenerator",
        "GPTTextGenerator",
        "text",
        "text",
        "texts",
        {
            **TEXT,
            "model": "gpt-4o",
            "sys_prompt": "You are a helpful assistant.",
            "prompt": "",
            "batch_size": None,
        },
    ),
    served(
        "TextGenerator",
        "APIGenerator",
        "text",
        "text",
        "texts",
        {
            **TEXT,
            "model_id": "openai:gpt-4o",
            "prompt": "You are a helpful assistant.",
            "temperature": 0.75,
            "top_p": 1,
            "max_tokens": 20,
            "stream": False,
        },
    ),
    ModelRow(
        "TextGenerator",
        "LocalModelGenerator",
        "Qwen/Qwen2.5-1.5B-Instruct",
        ("vllm", "transformers"),
        "text",
        "text",
        "texts",
        None,
        LOCAL,
    ),
    ModelRow(
        "Function",
        "PythonFunction",
        None,
        ("python",),
        "text",
        "text",
        "texts",
        None,
        {"function": None, "settings": {}, "version": 1, "repeat_time": 1, "seed": None},
    ),
]
