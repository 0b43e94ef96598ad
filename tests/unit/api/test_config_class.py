"""Classes of configuration keys: their instances are values."""

from typing import Any

import pytest

from engine.api.config import changed, config, key, parse


@config
class _Engine:
    power: int = key("power", default=3, doc="Horses.")


@config
class _Car(_Engine):
    name: str = key("name", doc="What it is called.")
    power: int = key("power", default=5, doc="More horses.")


def test_a_configuration_is_equal_by_value_and_never_changes() -> None:
    car = _Car(name="a")
    assert (car.name, car.power) == ("a", 5)
    assert car == _Car(name="a", power=5) == parse(_Car, {"name": "a"})
    assert hash(car) == hash(_Car(name="a", power=5))
    assert car != _Car(name="a", power=6)
    assert repr(car) == "_Car(power=5, name='a')"
    assert changed(car, power=6) == _Car(name="a", power=6)
    with pytest.raises(AttributeError):
        car.name = "b"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del car.name


@pytest.mark.parametrize("values", [{}, {"name": "a", "pover": 1}])
def test_a_configuration_has_the_fields_of_its_class(values: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"name|pover"):
        _Car(**values)


def test_a_class_keeps_what_it_says_itself_and_is_refused_what_nobody_would_call() -> None:
    @config
    class Shown:
        name: str = key("name", doc="What it is called.")

        def __repr__(self) -> str:
            return f"<{self.name}>"

    assert repr(Shown(name="a")) == "<a>"

    class Checked:
        def __post_init__(self) -> None:
            """Would never be called."""

    with pytest.raises(TypeError, match="Checked: checks belong to the keys"):
        config(Checked)
