"""Rows of `models_table` for models that read or make clips."""

from dataflow_dagster_tests.models.models_table import (
    CAPTIONER_DEFAULTS,
    GENERATOR_DEFAULTS,
    ModelRow,
)

CAPTIONER: dict[str, object] = {
    **CAPTIONER_DEFAULTS,
    "prompt": "Please describe the video in detail.",
    "num_frames": 64,
    "fps": None,
    "max_pixels": 224 * 224,
    "start_key": "start",
    "end_key": "end",
}
GENERATOR: dict[str, object] = {
    **{key: value for key, value in GENERATOR_DEFAULTS.items() if key != "max_sequence_length"},
    "height": None,
    "width": None,
    "num_frames": None,
    "num_inference_steps": None,
    "guidance_scale": None,
    "fps": 8,
    "variant": None,
}


def captioner(name: str, model_path: str | None, checkpoint: str, **defaults: object) -> ModelRow:
    """A row of a video captioner; `defaults` are those unlike `CAPTIONER`."""
    return ModelRow(
        "VideoCaptioner",
        name,
        model_path,
        ("vllm", "transformers"),
        "video",
        "text",
        "video_captions",
        None,
        {**CAPTIONER, **defaults},
        checkpoint,
    )


def generator(
    name: str, model_path: str | None, checkpoint: str, reads: str = "text", **defaults: object
) -> ModelRow:
    """A row of a video generator; `defaults` are those unlike `GENERATOR`."""
    own = {"prompt": ""} if reads == "image" else {}
    return ModelRow(
        "VideoGenerator",
        name,
        model_path,
        ("diffusers",),
        reads,
        "video",
        "generated_videos",
        None,
        {**GENERATOR, **own, **defaults},
        checkpoint,
    )


CAPTIONERS = [
    captioner("QwenVLCaptioner", "Qwen/Qwen2-VL-7B-Instruct", "qwen2_vl"),
    captioner(
        "LLaVAOVCaptioner",
        "llava-hf/llava-onevision-qwen2-7b-ov-hf",
        "llava_onevision",
        num_frames=16,
        max_pixels=512 * 512,
    ),
    captioner(
        "LLaVANeXTVideoCaptioner",
        "llava-hf/LLaVA-NeXT-Video-7B-hf",
        "llava_next_video",
        num_frames=32,
        max_pixels=512 * 512,
    ),
    captioner("VLMCaptioner", None, "qwen2_5_vl"),
]
COG: dict[str, object] = {
    "num_frames": 49,
    "num_inference_steps": 50,
    "guidance_scale": 6,
    "vae_tiling": True,
}
GENERATORS = [
    generator(
        "CogVideoXGenerator",
        "THUDM/CogVideoX-5b-I2V",
        "cogvideox_i2v",
        "image",
        **COG,
        height=480,
        width=720,
    ),
    generator("CogVideoXT2VGenerator", "THUDM/CogVideoX-2b", "cogvideox", **COG),
    generator(
        "AllegroGenerator",
        "rhymes-ai/Allegro",
        "allegro",
        subfolder="vae",
        num_frames=16,
        num_inference_steps=100,
        guidance_scale=7.5,
        max_sequence_length=512,
        fps=15,
        vae_tiling=True,
    ),
    generator(
        "AnimateDiffGenerator",
        "emilianJR/epiCRealism",
        "stable_diffusion",
        motion_adapter="guoyww/animatediff-motion-adapter-v1-5-2",
        num_frames=16,
        num_inference_steps=59,
        guidance_scale=7.5,
        decode_chunk_size=None,
    ),
    generator(
        "I2VGenXLGenerator",
        "ali-vilab/i2vgen-xl",
        "i2vgen_xl",
        "image",
        height=704,
        width=1280,
        num_frames=16,
        num_inference_steps=50,
        guidance_scale=9,
        decode_chunk_size=1,
        fps=16,
        variant="fp16",
    ),
    generator(
        "ModelScopeT2VGenerator",
        "damo-vilab/text-to-video-ms-1.7b",
        "modelscope",
        num_frames=16,
        num_inference_steps=50,
        guidance_scale=9,
        variant="fp16",
    ),
    generator(
        "SVDGenerator",
        "stabilityai/stable-video-diffusion-img2vid-xt",
        "svd",
        "image",
        height=576,
        width=1024,
        num_frames=25,
        num_inference_steps=25,
        decode_chunk_size=8,
        motion_bucket_id=127,
        noise_aug_strength=0.02,
        fps=7,
        variant="fp16",
    ),
    generator("DiffusersVideoGenerator", None, "wan", pipeline_kwargs=None),
    generator("DiffusersI2VGenerator", None, "ltx_i2v", "image", pipeline_kwargs=None),
]
VIDEO_MODELS = [*CAPTIONERS, *GENERATORS]
