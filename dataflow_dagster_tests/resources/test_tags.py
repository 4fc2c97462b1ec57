from dataflow_dagster.resources.tags import op_tags, stated
from dataflow_dagster.schema.pipeline import Resources


def test_what_is_unset_has_no_tag_and_0_has_one() -> None:
    assert op_tags(Resources()) == {}
    assert op_tags(Resources(gpus=0)) == {"dataflow_dagster/gpus": "0"}


def test_every_stated_resource_is_a_text_under_our_prefix() -> None:
    resources = Resources(gpus=2, pool="gpu", cpus=0.5, memory="32Gi")
    assert stated(resources) == {"gpus": 2, "pool": "gpu", "cpus": 0.5, "memory": "32Gi"}
    assert op_tags(resources)["dataflow_dagster/cpus"] == "0.5"


def test_variables_are_told_by_name_alone() -> None:
    resources = Resources.model_validate({"env": {"TOKEN": "secret", "LEVEL": "1"}})
    assert stated(resources) == {"env": "TOKEN, LEVEL"}
    assert "secret" not in repr(resources)
