"""Code versions that chain: what is edited above shows as changed in all that lies below."""

from dataflow_dagster.rows import fingerprint
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.layout import RAW_META, RESULTS, Layout
from dataflow_dagster.steps.raw_meta import raw_meta_fingerprint
from dataflow_dagster.steps.results import results_fingerprint
from dataflow_dagster.stores.mirrors import address


def code_versions(pipeline: PipelineSpec) -> dict[str, str]:
    """Asset name → 12 hex digits that change with all that decides the asset's rows.

    So they do with the asset's own file and folder: what it says that is there must be there. What
    only decides how fast or on what rows are made, such as ``batch_size``, changes none.
    """
    contents = _contents(pipeline)
    layout = Layout(pipeline)
    return {
        asset: fingerprint([content, pipeline.format, address(layout.stem(asset))])[:12]
        for asset, content in contents.items()
    }


def _contents(pipeline: PipelineSpec) -> dict[str, str]:
    """Asset name → what changes with its rows, wherever they are."""
    version = raw_meta_fingerprint(pipeline)[:12]
    versions = {RAW_META: version}
    for step in pipeline.steps:
        own = [step.identity, step.config.key_settings(), step.input_key, step.config.repeat_time]
        seed = pipeline.seed if step.config.seed is None else step.config.seed
        version = fingerprint([version, *own, seed])[:12]
        versions[step.asset] = version
    versions[RESULTS] = fingerprint([version, results_fingerprint(pipeline)])[:12]
    return versions
