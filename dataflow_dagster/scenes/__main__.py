"""`python -m dataflow_dagster.scenes`: draws the demo's pictures, trains and measures its models.

All of the demo from nothing, some 95 minutes of one core:
`pictures`, `train-llava`, `train-vae`, `train-decoder`, `train-flux`, `train-qwen-vl`, `evaluate`.
`clips` draws moving scenes, of which no file is kept.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

LLAVA = Path("data/models/scenes_llava")
FLUX = Path("data/models/scenes_flux")
QWEN_VL = Path("data/models/scenes_qwen_vl")
VAE = Path("build/scenes_vae")
DEMO = Path("data/demo")
MOVING = Path("build/scenes_moving")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one sub-command; training logs its loss to stderr, figures go to stdout."""
    options = _build_parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options.run(options)


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dataflow_dagster.scenes", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, (run, folders) in _list_commands().items():
        command = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        command.set_defaults(run=run)
        for option, folder in folders.items():
            command.add_argument(option, type=Path, default=folder, help=f"default: {folder}")
    return parser


def _list_commands() -> dict[str, tuple[Callable[[argparse.Namespace], None], dict[str, Path]]]:
    return {
        "pictures": (_write_pictures, {"--out": DEMO}),
        "clips": (_write_clips, {"--out": MOVING}),
        "train-llava": (_train_llava, {"--out": LLAVA}),
        "train-vae": (_train_vae, {"--out": VAE}),
        "train-decoder": (_train_decoder, {"--out": VAE}),
        "train-flux": (_train_flux, {"--vae": VAE, "--out": FLUX}),
        "train-qwen-vl": (_train_qwen_vl, {"--out": QWEN_VL}),
        "evaluate": (_evaluate, {"--llava": LLAVA, "--flux": FLUX, "--qwen-vl": QWEN_VL}),
    }


def _write_pictures(options: argparse.Namespace) -> None:
    """Draw the demo's pictures and write their rows."""
    from dataflow_dagster.scenes.pictures import write_pictures

    count = write_pictures(options.out)
    sys.stdout.write(f"{count} pictures in {options.out}\n")


def _write_clips(options: argparse.Namespace) -> None:
    """Draw clips of moving scenes and write their rows."""
    from dataflow_dagster.scenes.clips import write_clips

    count = write_clips(options.out)
    sys.stdout.write(f"{count} clips in {options.out}\n")


def _train_llava(options: argparse.Namespace) -> None:
    """Train the captioner (some 20 minutes on one core)."""
    from dataflow_dagster.scenes.train_llava import train_llava

    train_llava(options.out)


def _train_vae(options: argparse.Namespace) -> None:
    """Train FLUX's autoencoder (some 20 minutes on one core)."""
    from dataflow_dagster.scenes.train_vae import train_vae

    train_vae(options.out)


def _train_decoder(options: argparse.Namespace) -> None:
    """Train the autoencoder's decoder against noisy latents (some 12 minutes on one core)."""
    from dataflow_dagster.scenes.train_vae import train_decoder

    train_decoder(options.out)


def _train_flux(options: argparse.Namespace) -> None:
    """Train FLUX on a trained autoencoder (some 25 minutes on one core)."""
    from dataflow_dagster.scenes.train_flux import train_flux

    train_flux(options.vae, options.out)


def _train_qwen_vl(options: argparse.Namespace) -> None:
    """Train the captioner of clips (some 15 minutes on one core)."""
    from dataflow_dagster.scenes.train_qwen_vl import train_qwen_vl

    train_qwen_vl(options.out)


def _evaluate(options: argparse.Namespace) -> None:
    """Measure all models: seen and unseen scenes, every engine that is installed."""
    from dataflow_dagster.scenes.evaluation import (
        measure_captions,
        measure_clips,
        measure_drawings,
        measure_round_trip,
    )

    for figures in (
        measure_drawings(options.flux),
        measure_round_trip(options.llava, options.flux),
        measure_captions(options.llava),
        measure_clips(options.qwen_vl),
    ):
        for figure in figures:
            sys.stdout.write(f"{figure}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
