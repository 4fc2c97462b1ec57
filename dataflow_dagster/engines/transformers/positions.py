"""Where the text after a clip stands, for models that count in time, height and width."""

from typing import Any


def mend_positions(model: Any) -> None:
    """Let the text after a clip begin behind all of the clip, as Qwen2-VL was trained.

    transformers 5.19 lets it begin behind the clip's height and width, so that a clip of more
    frames lies over the text: `Qwen2VLModel.get_rope_index` leaves out the time. vLLM counts as
    the paper does: https://arxiv.org/abs/2409.12191 (section 2.1). Where the library counts
    right, nothing is changed.
    """
    inner: Any = getattr(model, "model", None)
    count = getattr(inner, "get_rope_index", None)
    clip_token = getattr(model.config, "video_token_id", None)
    if count is None or clip_token is None:
        return

    def counted(input_ids: Any, *given: Any, **named: Any) -> Any:
        positions, deltas = count(input_ids, *given, **named)
        for row, tokens in enumerate(input_ids):
            shift, after = _overlap(positions[:, row], tokens == clip_token)
            positions[:, row, after:] += shift
            deltas[row] += shift
        return positions, deltas

    inner.get_rope_index = counted


def _overlap(positions: Any, in_clip: Any) -> tuple[int, int]:
    """By how much the text after the clip comes too early, and where in the row it begins."""
    places = in_clip.nonzero()
    if not len(places):
        return 0, in_clip.shape[0]
    after = int(places.max()) + 1
    if after >= in_clip.shape[0]:
        return 0, after
    behind = int(positions[:, in_clip].max()) + 1
    return max(0, behind - int(positions[:, after].min())), after
