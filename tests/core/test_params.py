"""A declared Param checks its values, makes its accessors and explains itself."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from sparkml_algos.arrays.hyperparameters import DeclaredParam, Hyperparameter, InvalidParams
from sparkml_algos.core.params import DeclaredParams


class Base(DeclaredParams):
    column = DeclaredParam(str, "A column.", default="features")


class Dummy(Base):
    """A dummy.

    {parameters}
    """

    size = Hyperparameter(int, "How many.", required=True, minimum=1)
    half_open = Hyperparameter(float, "A share.", default=0.5, minimum=0, maximum=1, max_exclusive=True)
    positive = Hyperparameter(float, "A rate.", default=1.0, minimum=0, min_exclusive=True)
    trials = Hyperparameter(int, "Trials.", default="auto", minimum=1, special=["auto"], accessor="TrialNum")
    method = Hyperparameter(str, "A method.", default="random", choices=["random", "kmeans++"])
    metrics = Hyperparameter(list, "Metrics.", default=["msd"], choices=["msd", "ssd"])
    flag = Hyperparameter(bool, "A switch.", default=False)
    limit = Hyperparameter(int, "May stay unset.", maximum=9)


class Odd(Base):
    """What needs care.

    {parameters}
    """

    signs = Hyperparameter(list, "Signs.", choices=[-1, 0, 1])
    pace = Hyperparameter(float, "A pace.", default=1.0, aliases=["speed"])
    vars()["lambda"] = Hyperparameter(float, "A penalty.", default=1.0)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("size", 3, 3),
        ("size", 3.0, 3),
        ("size", "3", 3),
        ("size", " 3 ", 3),
        ("size", "1e3", 1000),
        ("size", np.int32(3), 3),
        ("size", np.float32(3), 3),
        ("size", 10**30, 10**30),
        ("size", str(2**63 + 1), 2**63 + 1),
        ("half_open", 0, 0.0),
        ("half_open", "1e-3", 0.001),
        ("half_open", np.float32(0.25), 0.25),
        ("positive", 1e-300, 1e-300),
        ("trials", "auto", "auto"),
        ("trials", 5, 5),
        ("trials", "5", 5),
        ("method", "kmeans++", "kmeans++"),
        ("metrics", ["ssd", "msd"], ["ssd", "msd"]),
        ("metrics", ("ssd",), ["ssd"]),
        ("metrics", '["msd", "ssd"]', ["msd", "ssd"]),
        ("metrics", "msd, ssd", ["msd", "ssd"]),
        ("metrics", "ssd", ["ssd"]),
        ("metrics", np.array(["ssd"]), ["ssd"]),
        ("flag", True, True),
        ("flag", "True", True),
        ("flag", "false", False),
        ("flag", np.True_, True),
        ("limit", None, None),
    ],
)
def test_a_value_is_taken_in_its_declared_type(name, given, expected):
    value = Dummy(**{name: given}).value(name)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        *[("size", value) for value in (0, -1, 1.5, "1.5", "many", "", True, None, [1], float("nan"), float("inf"), "inf", "auto")],
        *[("half_open", value) for value in (1, 1.0, -0.001, "nan", float("inf"), True, "half")],
        *[("positive", value) for value in (0, -1.0, float("inf"), 1j)],
        *[("trials", value) for value in (0, "Auto", "automatic", 2.5)],
        *[("method", value) for value in ("Random", 1, ["random"])],
        *[("metrics", value) for value in ([], "", "mse", ["msd", "mse"], '["msd"', 3, {"msd": 1})],
        *[("flag", value) for value in (1, 0, "yes", "1")],
        ("limit", 10),
    ],
)
def test_a_value_of_wrong_type_or_out_of_range_is_refused_by_name(name, refused):
    with pytest.raises(InvalidParams, match=f"Dummy: {name} must be"):
        Dummy(**{name: refused})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("size", "an int >= 1"),
        ("half_open", "a float >= 0 and < 1"),
        ("positive", "a float > 0"),
        ("trials", "an int >= 1 or 'auto'"),
        ("method", "one of 'random', 'kmeans++'"),
        ("metrics", "a list of 'msd', 'ssd'"),
        ("flag", "a bool"),
        ("limit", "an int <= 9"),
        ("column", "a str"),
    ],
)
def test_a_param_says_in_words_what_it_takes(name, words):
    assert Dummy.declared[name].describe() == words


def test_the_message_says_what_was_expected_and_what_was_given():
    with pytest.raises(InvalidParams) as error:
        Dummy(size="0")
    assert str(error.value) == "Dummy: size must be an int >= 1, got '0'"


def test_all_problems_are_reported_at_once():
    with pytest.raises(InvalidParams) as error:
        Dummy(size=0, methd="random", half_open=2)
    assert error.value.problems == [
        "size must be an int >= 1, got 0",
        "unknown parameter 'methd'; did you mean 'method'?",
        "half_open must be a float >= 0 and < 1, got 2",
    ]


@pytest.mark.parametrize("kind", [ValueError, TypeError])
def test_problems_are_both_value_and_type_errors(kind):
    with pytest.raises(kind):
        Dummy(size="many")


def test_an_unknown_name_like_no_other_is_reported_without_a_suggestion():
    with pytest.raises(InvalidParams, match=r"unknown parameter 'zzz'$"):
        Dummy(zzz=1)


def test_names_the_service_reserves_are_passed_over():
    assert Dummy(size=1, _tuning_objective_metric="test:msd").getSize() == 1


def test_what_is_not_given_has_its_default():
    expected = {"half_open": 0.5, "positive": 1.0, "trials": "auto", "method": "random", "metrics": ["msd"], "flag": False, "limit": None}
    assert Dummy(size=2).hyperparameters() == {"size": 2, **expected}


def test_hyperparameters_are_those_of_the_algorithm_only():
    assert "column" not in Dummy(size=2).hyperparameters()


def test_a_required_param_has_no_value_before_it_is_set():
    assert Dummy().value("size") is None


def test_a_missing_required_param_is_a_problem():
    assert Dummy().problems() == ["size is required: how many."]


def test_complete_params_have_no_problems():
    assert Dummy(size=1).problems() == []


def test_a_bad_value_from_a_param_map_is_refused():
    dummy = Dummy(size=1)
    with pytest.raises(InvalidParams, match="method must be one of 'random', 'kmeans\\+\\+', got 'nearest'"):
        dummy.copy({dummy.method: "nearest"})


def test_setters_return_the_object_itself():
    dummy = Dummy()
    assert dummy.setSize(3).setTrialNum("auto").setColumn("x") is dummy


def test_a_getter_gives_what_the_setter_took():
    assert Dummy().setHalfOpen("0.25").getHalfOpen() == 0.25


def test_a_setter_refuses_as_the_constructor_does():
    with pytest.raises(InvalidParams, match="size must be an int >= 1, got 0"):
        Dummy().setSize(0)


def test_an_accessor_may_have_its_own_name():
    assert (hasattr(Dummy, "setTrialNum"), hasattr(Dummy, "setTrials")) == (True, False)


def test_accessors_are_documented():
    assert Dummy.setSize.__doc__ == "Set `size`: How many."


def test_the_constructor_lists_hyperparameters_first_and_required_ones_before_all():
    keywords = list(inspect.signature(Dummy).parameters)
    assert (keywords[0], keywords[-1]) == ("size", "column")


def test_params_take_no_positional_arguments():
    with pytest.raises(TypeError):
        Dummy(3)


@pytest.mark.parametrize(
    "line",
    [
        "size : an int >= 1, required",
        "trials : an int >= 1 or 'auto', default 'auto'",
        "column : a str, default 'features'",
        "    How many.",
    ],
)
def test_the_class_documents_its_params(line):
    assert line in Dummy.__doc__.splitlines()


def test_defaults_are_not_shared_between_objects():
    Dummy(size=1).getMetrics().append("ssd")
    assert Dummy(size=1).getMetrics() == ["msd"]


def test_another_name_is_taken_for_a_param_but_not_beside_its_own():
    assert Odd(speed=2).getPace() == 2
    with pytest.raises(InvalidParams, match="speed is another name of pace; give one of them"):
        Odd(speed=2, pace=3)
    assert "    A pace. Also speed." in Odd.__doc__


def test_a_keyword_of_python_can_be_the_name_of_a_param():
    assert Odd(**{"lambda": 2}).getLambda() == 2
    assert "lambda" not in inspect.signature(Odd).parameters


def test_a_list_may_be_the_text_of_a_tuple():
    assert Odd(signs="(1, 0,-1)").getSigns() == [1, 0, -1]
    assert Odd(signs="(1,)").getSigns() == [1]
