"""Comes with the tiny Phi-3-vision, as such a file comes with the one on the Hub."""

from transformers import PreTrainedConfig


class Phi3VConfig(PreTrainedConfig):
    model_type = "phi3_v"
