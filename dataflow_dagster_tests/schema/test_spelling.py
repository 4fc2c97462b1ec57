from dataflow_dagster.schema.spelling import listed, nearest, unknown


def test_the_nearest_name_is_found_whatever_its_capitals() -> None:
    assert nearest("TEMPRATURE", ["temperature", "top_p"]) == "temperature"
    assert nearest("zebra", ["temperature", "top_p"]) is None


def test_a_long_list_is_cut_to_the_names_nearest_to_the_one_given() -> None:
    names = [f"key_{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    text = listed("key_zz", names)
    assert text.startswith("key_z, ")
    assert text.endswith(" and 16 more")


def test_an_unknown_key_is_told_with_what_was_meant_and_what_is_allowed() -> None:
    assert unknown("key", "temprature", ["temperature", "top_p"]) == (
        "unknown key, did you mean 'temperature'? Allowed: temperature, top_p"
    )
    assert unknown("key", "zebra", ["top_p"]) == "unknown key. Allowed: top_p"
