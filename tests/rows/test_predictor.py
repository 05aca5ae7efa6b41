"""What predictors give."""

from __future__ import annotations

import pytest

from sparkml_algos.rows.predictor import Computed


class TestComputed:
    def test_computes_what_is_looked_up_and_that_once(self):
        calls = []

        def output(name):
            return lambda: calls.append(name) or len(calls)

        found = Computed({name: output(name) for name in "abc"})
        assert list(found) == ["a", "b", "c"] and len(found) == 3 and "b" in found and "d" not in found
        assert calls == []
        assert (found["b"], found["b"], calls) == (1, 1, ["b"])

    def test_of_an_unknown_name_is_an_error(self):
        with pytest.raises(KeyError):
            _ = Computed({})["a"]
