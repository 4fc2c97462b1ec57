import pytest

from dataflow_dagster import register, registry
from dataflow_dagster.registry import UnknownNameError

pytestmark = pytest.mark.usefixtures("toys")


def test_a_registered_class_is_found_by_its_own_name_and_by_its_aliases() -> None:
    @register("Toy", aliases=("OldToy",))
    class NewToy:
        pass

    assert registry.find("Toy", "NewToy") is NewToy
    assert registry.find("Toy", "OldToy") is NewToy
    assert "OldToy" not in registry.models()["Toy"]


def test_two_classes_of_one_name_are_refused() -> None:
    class Shouter:
        pass

    with pytest.raises(ValueError, match=r"Toy Shouter is registered by .*toys\.models"):
        register("Toy")(Shouter)


def test_the_same_module_loaded_again_may_register_again() -> None:
    shouter = registry.find("Toy", "Shouter")
    assert register("Toy")(shouter) is shouter


def test_an_unknown_name_says_the_nearest_and_all() -> None:
    with pytest.raises(UnknownNameError) as raised:
        registry.find("Toy", "Shooter")
    assert raised.value.nearest == "Shouter"
    assert str(raised.value).endswith("Allowed: Filmer, Namer, Painter, Shouter, Wanderer, Watcher")
    with pytest.raises(UnknownNameError, match=r"unknown step type 'Toi', did you mean 'Toy'\?"):
        registry.find("Toi", "Shouter")


def test_the_shipped_models_are_there_without_being_listed_anywhere() -> None:
    assert {"LLaVACaptioner"} <= registry.models()["ImageCaptioner"].keys()
    assert {"FLUXGenerator"} <= registry.models()["ImageGenerator"].keys()
