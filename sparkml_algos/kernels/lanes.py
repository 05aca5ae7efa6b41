"""Numbers side by side in a core's vector units, for inner loops in which the compiler does not find the vectors itself.

A loop over the rows of each feature costs a test for overlaps, and rows that are left over, again for every feature. With lanes the rows
are the outer loop, a few at a time, and sums stay in registers while the features go by::

    for i in range(0, rows, LANES):
        total = spread(0)
        for f in range(features):
            total = total + larger(load(columns, f, i), spread(0))
        store(sums, 0, i, total)

Lanes are read and written whole, so tables have `LANES` numbers to spare at the end of a row.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global
from numba.extending import intrinsic, lower_builtin, models, register_model

from sparkml_algos.kernels.memory import pointer_to

#: Numbers in lanes: two vectors of the widest units there are, so that one is worked on while the other waits.
LANES = 32

# A product may be rounded once with the sum it goes into.
_FREE = ("contract",)

_FLOAT, _INTEGER = ir.FloatType(), ir.IntType(32)
_FLOATS, _INTEGERS = ir.VectorType(_FLOAT, LANES), ir.VectorType(_INTEGER, LANES)
_NUMBER_BYTES = 4  # tables are aligned for their numbers, not for lanes of them


class _Lanes(types.Type):
    """`LANES` numbers of a kind."""


class _Numbers(_Lanes):
    def __init__(self) -> None:
        super().__init__(name="lanes of float32")


class _Bits(_Lanes):
    def __init__(self) -> None:
        super().__init__(name="lanes of 32 bits")


_NUMBERS, _BITS = _Numbers(), _Bits()


@register_model(_Numbers)
class _NumbersModel(models.PrimitiveModel):
    def __init__(self, manager: Any, type_: types.Type) -> None:
        super().__init__(manager, type_, _FLOATS)


@register_model(_Bits)
class _BitsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, type_: types.Type) -> None:
        super().__init__(manager, type_, _INTEGERS)


Generate = Callable[[Any, Any, Any, Any], Any]


@intrinsic
def load(typing_context: Any, table: Any, row: Any, place: Any) -> tuple[Any, Generate]:
    """Lanes of a row of a table of float32, from a place on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = pointer_to(context, builder, signature.args, arguments)
        return builder.load(builder.bitcast(pointer, _FLOATS.as_pointer()), align=_NUMBER_BYTES)

    return _NUMBERS(table, row, place), generate


@intrinsic
def store(typing_context: Any, table: Any, row: Any, place: Any, values: Any) -> tuple[Any, Generate]:
    """The way back."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = pointer_to(context, builder, signature.args[:-1], arguments[:-1])
        builder.store(arguments[-1], builder.bitcast(pointer, _FLOATS.as_pointer()), align=_NUMBER_BYTES)
        return context.get_dummy_value()

    return types.void(table, row, place, values), generate


@intrinsic
def spread(typing_context: Any, number: Any) -> tuple[Any, Generate]:
    """The same number in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _spread(builder, arguments[0], _FLOATS)

    return _NUMBERS(types.float32), generate


@intrinsic
def all_bits(typing_context: Any) -> tuple[Any, Generate]:
    """32 bits that are set, in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_INTEGERS, [-1] * LANES)

    return _BITS(), generate


@intrinsic
def masked_above(typing_context: Any, bits: Any, mask: Any, numbers: Any, bound: Any) -> tuple[Any, Generate]:
    """Of bits those that a mask has, in lanes whose number is above a bound; all of them in the others."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        own, mask, values, bound = arguments
        above = builder.fcmp_ordered(">", values, _spread(builder, bound, _FLOATS))
        return builder.select(above, builder.and_(own, _spread(builder, mask, _INTEGERS)), own)

    return _BITS(_BITS, types.int32, _NUMBERS, types.float32), generate


@intrinsic
def store_lowest(typing_context: Any, table: Any, place: Any, bits: Any) -> tuple[Any, Generate]:
    """Write the number of the lowest bit that is set in each of the lanes into an array of uint8, from a place on; one is set in all."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        small, true = ir.VectorType(ir.IntType(8), LANES), ir.IntType(1)(1)
        function = ir.FunctionType(_INTEGERS, [_INTEGERS, ir.IntType(1)])
        trailing = cgutils.get_or_insert_function(builder.module, function, f"llvm.cttz.v{LANES}i32")
        lowest = builder.trunc(builder.call(trailing, [arguments[-1], true]), small)
        pointer = pointer_to(context, builder, signature.args[:-1], arguments[:-1])
        builder.store(lowest, builder.bitcast(pointer, small.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(table, place, bits), generate


@intrinsic
def larger(typing_context: Any, one: Any, other: Any) -> tuple[Any, Generate]:
    """The larger of two numbers, in each of the lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *arguments), *arguments)

    return _NUMBERS(_NUMBERS, _NUMBERS), generate


@intrinsic
def smaller(typing_context: Any, one: Any, other: Any) -> tuple[Any, Generate]:
    """The smaller of two numbers, in each of the lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", *arguments), *arguments)

    return _NUMBERS(_NUMBERS, _NUMBERS), generate


@intrinsic
def where_below(typing_context: Any, numbers: Any, bound: Any, values: Any) -> tuple[Any, Generate]:
    """Values in lanes whose number is below a bound, 0 in the others."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        numbers, bound, values = arguments
        below = builder.fcmp_ordered("<", numbers, _spread(builder, bound, _FLOATS))
        return builder.select(below, values, ir.Constant(_FLOATS, [0.0] * LANES))

    return _NUMBERS(_NUMBERS, types.float32, _NUMBERS), generate


@intrinsic
def any_equal(typing_context: Any, numbers: Any, number: Any) -> tuple[Any, Generate]:
    """Whether one of the lanes is equal to a number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        equal = builder.fcmp_ordered("==", arguments[0], _spread(builder, arguments[1], _FLOATS))
        together = ir.IntType(LANES)
        return builder.icmp_unsigned("!=", builder.bitcast(equal, together), together(0))

    return types.boolean(_NUMBERS, types.float32), generate


def _spread(builder: Any, number: Any, vector: ir.VectorType) -> Any:
    nothing = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(nothing, number, ir.Constant(_INTEGER, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(_INTEGERS, [0] * LANES))


def _define(operation: Callable[..., Any], generate: Callable[..., Any]) -> None:
    """Let an operator take lanes of numbers."""

    class Typing(ConcreteTemplate):
        key = operation
        cases = [_NUMBERS(_NUMBERS, _NUMBERS)]  # noqa: RUF012 - as numba asks for it

    infer_global(operation)(Typing)
    lower_builtin(operation, _NUMBERS, _NUMBERS)(lambda context, builder, signature, arguments: generate(builder, *arguments))


_define(operator.add, lambda builder, one, other: builder.fadd(one, other, flags=_FREE))
_define(operator.sub, lambda builder, one, other: builder.fsub(one, other, flags=_FREE))
_define(operator.mul, lambda builder, one, other: builder.fmul(one, other, flags=_FREE))
_define(operator.truediv, lambda builder, one, other: builder.fdiv(one, other, flags=_FREE))
