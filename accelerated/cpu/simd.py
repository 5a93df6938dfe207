"""Vectors of LANES numbers as values in a kernel: ``load``, ``store``, ``fill``, ``multiply_add``, ``maximum``, ``evens_odds``,
``in_turns``; +, -, * and / of two, or of a number and one.  And ``item`` and ``prefetch``, for what loads and stores go with.

One of float32 fills a register with AVX-512 and AVX2, two with NEON; LLVM sees to it.  Nothing here checks an index.
"""

import operator

import numpy as np
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

LANES = 16 if get_host_cpu_features().get("avx512f") else 8
inlined = njit(forceinline=True)  # for functions of vectors: called, they would pass them through memory


class Vector(types.Type):
    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"Vector({dtype}, {LANES})")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        super().__init__(manager, vector, ir.VectorType(manager.lookup(vector.dtype).get_value_type(), LANES))


def _pointer(context, builder, array_type, array, index, vector=True):
    """The address of array[index], as one of a vector."""
    data = context.make_array(array_type)(context, builder, array).data
    address = builder.gep(data, [index])
    lanes = ir.VectorType(context.get_value_type(array_type.dtype), LANES)
    return builder.bitcast(address, lanes.as_pointer()) if vector else address


@intrinsic
def load(typing_context, array, index):
    """The LANES numbers from array[index] on; ``array`` has one axis or is contiguous."""

    def generate(context, builder, signature, args):
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return Vector(array.dtype)(array, types.int64), generate


@intrinsic
def store(typing_context, array, index, vector):
    """The LANES numbers from array[index] on become those of the vector."""

    def generate(context, builder, signature, args):
        builder.store(args[2], _pointer(context, builder, signature.args[0], args[0], args[1]), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), generate


@intrinsic
def item(typing_context, array, index):
    """array[index] for an index that is not negative."""

    def generate(context, builder, signature, args):
        return builder.load(_pointer(context, builder, signature.args[0], args[0], args[1], vector=False))

    return array.dtype(array, types.int64), generate


@intrinsic
def prefetch(typing_context, array, index):
    """Ask for the line of array[index], which need not exist, into the cache behind the nearest."""

    def generate(context, builder, signature, args):
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        address = builder.bitcast(_pointer(context, builder, signature.args[0], args[0], args[1], vector=False), byte)
        function = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        to_read, near, data = word(0), word(2), word(1)
        builder.call(cgutils.get_or_insert_function(builder.module, function, "llvm.prefetch.p0"), [address, to_read, near, data])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


@intrinsic
def fill(typing_context, x):
    """A vector of one number, LANES times."""

    def generate(context, builder, signature, args):
        lanes = ir.VectorType(context.get_value_type(x), LANES)
        first = builder.insert_element(ir.Constant(lanes, ir.Undefined), args[0], ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))

    return Vector(x)(x), generate


@intrinsic
def multiply_add(typing_context, a, b, c):
    """a b + c, rounded once where the processor can."""

    def generate(context, builder, signature, args):
        lanes = args[0].type
        name = f"llvm.fmuladd.v{LANES}f{a.dtype.bitwidth}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(lanes, [lanes] * 3), name)
        return builder.call(function, args)

    return a(a, b, c), generate


@intrinsic
def _select_larger(typing_context, a, b):
    return a(a, b), lambda context, builder, signature, args: builder.select(builder.fcmp_ordered(">", *args), *args)


def maximum(a, b):
    """The larger of a number and each one of b (or b itself, a number), b's where one is NaN."""


@overload(maximum)
def _typed_maximum(a, b):
    if a == b:
        return lambda a, b: _select_larger(a, b)
    real = np.float32 if b.dtype == types.float32 else np.float64
    return lambda a, b: _select_larger(fill(real(a)), b)


def _shuffled(order):
    """An intrinsic: the vector of those numbers of two vectors, the second's counted on from the first's."""

    @intrinsic
    def shuffle(typing_context, a, b):
        places = ir.Constant(ir.VectorType(ir.IntType(32), LANES), list(order))
        return a(a, b), lambda context, builder, signature, args: builder.shuffle_vector(*args, places)

    return shuffle


_evens, _odds = _shuffled(range(0, 2 * LANES, 2)), _shuffled(range(1, 2 * LANES, 2))
_first, _second = (_shuffled([n // 2 + n % 2 * LANES for n in range(half, half + LANES)]) for half in (0, LANES))


@inlined
def evens_odds(a, b):
    """Of the numbers of a and b in a row the first, third .., and the second, fourth .."""
    return _evens(a, b), _odds(a, b)


@inlined
def in_turns(a, b):
    """The numbers of a and b in turns, as two vectors: ``evens_odds`` undone."""
    return _first(a, b), _second(a, b)


def _operator(name, instruction):
    """Let ``name`` take two vectors, or a vector and a number; a product and a sum may become one instruction."""

    @intrinsic
    def apply(typing_context, a, b):
        return a(a, b), lambda context, builder, signature, args: getattr(builder, instruction)(*args, flags=("contract",))

    @overload(name)
    def typed(a, b):
        if isinstance(a, Vector) and a == b:
            return lambda a, b: apply(a, b)
        if isinstance(a, types.Number) and isinstance(b, Vector):
            real = np.float32 if b.dtype == types.float32 else np.float64
            return lambda a, b: apply(fill(real(a)), b)
        if isinstance(a, Vector) and isinstance(b, types.Number):
            real = np.float32 if a.dtype == types.float32 else np.float64
            return lambda a, b: apply(a, fill(real(b)))
        return None


for _name, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv")):
    _operator(_name, _instruction)
