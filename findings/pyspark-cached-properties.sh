#!/usr/bin/env bash
# PySpark 4.3.0: a stage that has a functools.cached_property computes it when somebody asks for its Params.
#
# Guess:  what a cached property holds is computed when it is first read, and a copy of the stage computes its own.
# Seen:   Params.params looks at every attribute but properties, and a cached property is none of these for it: constructing a Pipeline around
#         the stage, copying it or saving it computes the value, which may be a model that is loaded, or raise what it raises. copy() then
#         carries the value of the original's Params along.
# So:     in Estimators, Transformers and Models use property, with a field of your own to keep the value.
# shellcheck source=findings/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install pyspark==4.3.0 numpy==2.4.6

seen_as 'computed by params: property 0 times, cached_property 1 times
value of a copy with another Param: property 2, cached_property 1' <<'PYTHON'
from functools import cached_property

from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params, TypeConverters


class Base(Transformer):
    size = Param(Params._dummy(), "size", "", TypeConverters.toInt)

    def __init__(self):
        super().__init__()
        self._set(size=1)
        self.computed = 0

    def _transform(self, dataset):
        return dataset

    def _value(self):
        self.computed += 1
        return self.getOrDefault(self.size)


class ByProperty(Base):
    value = property(Base._value)


class ByCachedProperty(Base):
    value = cached_property(Base._value)
    value.__set_name__(Base, "value")


stages = ByProperty(), ByCachedProperty()
for stage in stages:
    stage.params  # noqa: B018 - for what reading it does
print("computed by params: property {} times, cached_property {} times".format(*(stage.computed for stage in stages)))
copies = [stage.copy({stage.size: 2}) for stage in stages]
print("value of a copy with another Param: property {}, cached_property {}".format(*(stage.value for stage in copies)))
PYTHON
