"""One engine on the known-answer models, in a process of its own: what `doctor` starts.

Usage: python -m dataflow_dagster.cli.examination ENGINE [MODELS_FOLDER]; without it the engine is
loaded only.
"""

import random
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

from dataflow_dagster.engines.choice import choose
from dataflow_dagster.engines.session import Answer, Request
from dataflow_dagster.models.declaration import Model
from dataflow_dagster.registry import find
from dataflow_dagster.scenes.drawing import SEEN, UNSEEN, Scene, draw
from dataflow_dagster.scenes.judging import judge

SCENES = [*SEEN[::12], *UNSEEN[::5]]
"""What is asked of each engine: some scenes of its training, some that it never saw."""

_RUNS_MODELS = {
    "vllm": "LLMEngine",
    "transformers": "AutoModelForImageTextToText",
    "diffusers": "FluxPipeline",
}
"""Of each engine what only a whole installation has; the rest of it is loaded on demand."""

Right = Callable[[Scene, Answer], bool]


def main() -> None:
    """Tell ``right of asked, on which device`` of one engine; exit code 1 where one is wrong."""
    if len(sys.argv) == 2:
        sys.stdout.write(f"{_loaded(sys.argv[1])}\n")
        return
    engine, folder = sys.argv[1], Path(sys.argv[2])
    examine = _examine_drawing if engine == "diffusers" else _examine_captions
    model, requests, right = examine(engine, folder)
    used = model.engine()
    session = model.open(used)
    try:
        answers = dict(session.answers(iter(requests)))
    finally:
        session.close()
    good = sum(
        isinstance(answer, Answer) and right(SCENES[number], answer)
        for number, answer in answers.items()
    )
    told = f"{good} of {len(SCENES)} known answers right on {used.device} in {used.precision}"
    sys.stdout.write(f"{told}\n")
    sys.exit(0 if good == len(SCENES) else 1)


def _loaded(engine: str) -> str:
    """Load the library's part that runs models, and say where it would run them."""
    getattr(import_module(engine), _RUNS_MODELS[engine])
    device = choose((engine,), backend="auto", device="auto", dtype="auto", model_path="").device
    return f"it can be loaded, and would run on {device}"


def _examine_captions(engine: str, folder: Path) -> tuple[Model, list[Request], Right]:
    """Drawn scenes, to be captioned."""
    model = find("ImageCaptioner", "LLaVACaptioner")(
        model_path=str(folder / "scenes_llava"), backend=engine, temperature=0.0, max_tokens=32
    )
    rng = random.Random(0)
    requests = [
        Request(number, number, model.render(), draw(scene, rng))
        for number, scene in enumerate(SCENES)
    ]
    return model, requests, lambda scene, answer: answer.text == scene.caption


def _examine_drawing(engine: str, folder: Path) -> tuple[Model, list[Request], Right]:
    """Captions, to be drawn."""
    model = find("ImageGenerator", "FLUXGenerator")(
        model_path=str(folder / "scenes_flux"),
        height=64,
        width=64,
        num_inference_steps=6,
        max_sequence_length=32,
        batch_size=len(SCENES),
    )
    return model, list(_captions()), _is_drawn


def _captions() -> Iterator[Request]:
    for number, scene in enumerate(SCENES):
        yield Request(number, number, scene.caption)


def _is_drawn(scene: Scene, answer: Answer) -> bool:
    return answer.picture is not None and judge(answer.picture) == scene


if __name__ == "__main__":
    main()
