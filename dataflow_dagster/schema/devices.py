"""Whether the GPUs of a step are enough for its model and its replicas, and all of use."""

from dataflow_dagster.models.declaration import SPLITTING
from dataflow_dagster.schema.findings import Findings
from dataflow_dagster.schema.pipeline import StepSpec


def check_devices(step: StepSpec, findings: Findings) -> None:
    """Refuse a step whose `gpus`, `replicas` and model do not go together."""
    at, gpus = ("steps", step.position - 1), step.resources.gpus
    if step.replicas == "auto" and not gpus:
        said = "which is not given" if gpus is None else "which is 0"
        findings.refuse((*at, "replicas"), f"is 'auto': as many as resources.gpus, {said}")
    elif gpus == 0 and getattr(step.config, "device", None) == "cuda":
        findings.refuse((*at, "config", "device"), "is 'cuda', and resources.gpus is 0")
    elif gpus is not None:
        _check_shares(step, gpus, findings)


def _check_shares(step: StepSpec, gpus: int, findings: Findings) -> None:
    at, split = ("steps", step.position - 1), step.config.gpus_of_one()
    written = [key for key in SPLITTING if key in step.config.model_fields_set]
    splitting = next(iter(written), "")
    if gpus and not written and split > gpus // step.copies:
        message = f"{_default(step)}, and each copy of the model has {gpus // step.copies} GPUs"
        findings.refuse((*at, "resources"), f"{message}; write how many in its config")
        return
    if written and split > 1 and split > gpus:
        message = f"splits one copy of the model over {split} GPUs, and resources.gpus is {gpus}"
        findings.refuse((*at, "config", splitting), message)
        return
    used = step.copies * split
    if gpus and step.replicas == "auto" and used != gpus:
        findings.refuse((*at, "replicas"), f"use {split} GPUs each, of which {gpus} is no multiple")
    elif gpus and step.copies > 1 and gpus % step.copies:
        message = f"share {gpus} GPUs (resources.gpus) out evenly; {step.copies} cannot"
        findings.refuse((*at, "replicas"), message)
    elif gpus and written and gpus // step.copies < split:
        share = gpus // step.copies
        message = f"is {split}; each of {step.copies} replicas has {share} of {gpus} GPUs"
        findings.refuse((*at, "config", splitting), message)


def _default(step: StepSpec) -> str:
    """``MLLamaCaptioner is split over tensor_parallel_size: 8 GPUs unless told otherwise``."""
    keys = [key for key in SPLITTING if getattr(step.config, key, 1) > 1]
    said = " × ".join(f"{key}: {getattr(step.config, key)}" for key in keys)
    return f"{step.name} is split over {said} GPUs unless told otherwise"
