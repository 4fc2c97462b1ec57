"""Code versions that chain: what is edited above shows as changed in all that lies below."""

from dataflow_dagster.rows import fingerprint
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.layout import RAW_META, RESULTS
from dataflow_dagster.steps.raw_meta import raw_meta_fingerprint
from dataflow_dagster.steps.results import results_fingerprint


def code_versions(pipeline: PipelineSpec) -> dict[str, str]:
    """Asset name → 12 hex digits that change with all that decides the asset's rows.

    What only decides how fast or where rows are made, such as ``batch_size``, changes none.
    """
    version = raw_meta_fingerprint(pipeline)[:12]
    versions = {RAW_META: version}
    for step in pipeline.steps:
        own = [step.identity, step.config.key_settings(), step.input_key, step.config.repeat_time]
        seed = pipeline.seed if step.config.seed is None else step.config.seed
        version = fingerprint([version, *own, seed])[:12]
        versions[step.asset] = version
    versions[RESULTS] = fingerprint([version, results_fingerprint(pipeline)])[:12]
    return versions
