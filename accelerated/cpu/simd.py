"""SIMD vectors of LANES numbers as values inside a kernel.

``load`` and ``store`` move a vector from and to an array, ``splat`` copies one number into all lanes, ``multiply_add`` and ``maximum`` work
lane by lane, ``interleave`` and ``deinterleave`` shuffle; +, -, * and / take two vectors, or a vector and a number.  ``load_scalar`` and
``prefetch`` complete them.  No index is checked.

A Numba *intrinsic* is a function with a hand-written translation into LLVM's intermediate representation (IR).  Numba calls it at compile
time with the types of its arguments.  It returns two things: the type signature of the call, and a function that emits the IR:

    @intrinsic
    def name(typing_context, a, b):                      # a, b: Numba types
        def generate(context, builder, signature, args): # args: the LLVM values of a and b
            return builder.fadd(*args)                   # emits one instruction, returns its LLVM value
        return result_type(a, b), generate

A vector of 16 float32 fills one AVX-512 register, one of 8 fills one AVX2 register or two NEON registers.  A vector of float64 takes twice
as many registers; LLVM splits it.
"""

import operator

import numpy as np
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

LANES = 16 if get_host_cpu_features().get("avx512f") else 8  # entries of a vector: float32 numbers of an AVX-512 or AVX2 register
always_inline = njit(forceinline=True)  # for functions of vectors: a real call would pass the vectors through memory


class Vector(types.Type):
    """Numba's type of a vector of LANES numbers."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"Vector({dtype}, {LANES})")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """How Numba stores a ``Vector``: as LLVM's own vector type <LANES x dtype>."""

    def __init__(self, manager, vector):
        super().__init__(manager, vector, ir.VectorType(manager.lookup(vector.dtype).get_value_type(), LANES))


def _pointer(context, builder, array_type, array, index, vector=True):
    """The address of array[index]: a pointer to a vector, or to one number unless ``vector``."""
    data = context.make_array(array_type)(context, builder, array).data
    address = builder.gep(data, [index])
    lanes = ir.VectorType(context.get_value_type(array_type.dtype), LANES)
    return builder.bitcast(address, lanes.as_pointer()) if vector else address


@intrinsic
def load(typing_context, array, index):
    """The vector array[index : index + LANES]; ``array`` has one axis, or is contiguous and indexed as if it had."""

    def generate(context, builder, signature, args):
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return Vector(array.dtype)(array, types.int64), generate


@intrinsic
def store(typing_context, array, index, vector):
    """array[index : index + LANES] = vector."""

    def generate(context, builder, signature, args):
        builder.store(args[2], _pointer(context, builder, signature.args[0], args[0], args[1]), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), generate


@intrinsic
def load_scalar(typing_context, array, index):
    """array[index] for index >= 0: without the test for negative indices that Numba would add."""

    def generate(context, builder, signature, args):
        return builder.load(_pointer(context, builder, signature.args[0], args[0], args[1], vector=False))

    return array.dtype(array, types.int64), generate


@intrinsic
def prefetch(typing_context, array, index):
    """Prefetch the cache line of array[index] into the L2 cache.  The index may lie outside of the array."""

    def generate(context, builder, signature, args):
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        address = builder.bitcast(_pointer(context, builder, signature.args[0], args[0], args[1], vector=False), byte)
        function = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        read, level_2, data = word(0), word(2), word(1)  # the arguments rw, locality and cache type of llvm.prefetch
        builder.call(cgutils.get_or_insert_function(builder.module, function, "llvm.prefetch.p0"), [address, read, level_2, data])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


@intrinsic
def splat(typing_context, x):
    """The vector x, x, .., x: insert x into lane 0, then shuffle with the indices 0, 0, .., 0."""

    def generate(context, builder, signature, args):
        lanes = ir.VectorType(context.get_value_type(x), LANES)
        first = builder.insert_element(ir.Constant(lanes, ir.Undefined), args[0], ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))

    return Vector(x)(x), generate


@intrinsic
def multiply_add(typing_context, a, b, c):
    """a b + c, lane by lane; rounded once if the processor has a fused multiply-add (FMA)."""

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
    """max(a, b), lane by lane, for a number or vector a and a vector b, or for two numbers.  b where either is NaN."""


@overload(maximum)
def _typed_maximum(a, b):
    if a == b:
        return lambda a, b: _select_larger(a, b)
    real = np.float32 if b.dtype == types.float32 else np.float64
    return lambda a, b: _select_larger(splat(real(a)), b)


def _shuffle(indices):
    """An intrinsic: lane n of the result is lane indices[n] of a, or lane indices[n] - LANES of b."""

    @intrinsic
    def shuffle(typing_context, a, b):
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), list(indices))
        return a(a, b), lambda context, builder, signature, args: builder.shuffle_vector(*args, mask)

    return shuffle


_evens, _odds = _shuffle(range(0, 2 * LANES, 2)), _shuffle(range(1, 2 * LANES, 2))
_turns = [n // 2 + n % 2 * LANES for n in range(2 * LANES)]  # 0, LANES, 1, LANES + 1, ..
_first_half, _second_half = _shuffle(_turns[:LANES]), _shuffle(_turns[LANES:])


@always_inline
def deinterleave(a, b):
    """The even and the odd entries of a and b one after the other: x0 y0 x1 y1 .. -> (x0 x1 .., y0 y1 ..)."""
    return _evens(a, b), _odds(a, b)


@always_inline
def interleave(a, b):
    """The entries of a and b in turns, as two vectors: (x0 x1 .., y0 y1 ..) -> x0 y0 x1 y1 ..; ``deinterleave`` undone."""
    return _first_half(a, b), _second_half(a, b)


@always_inline
def load6(array, offset, stride):
    """The vectors at offset, offset + stride, .., offset + 5 stride."""
    v0, v1, v2 = load(array, offset), load(array, offset + stride), load(array, offset + 2 * stride)
    v3, v4, v5 = load(array, offset + 3 * stride), load(array, offset + 4 * stride), load(array, offset + 5 * stride)
    return v0, v1, v2, v3, v4, v5


@always_inline
def store6(array, offset, stride, vectors):
    """Store six vectors at offset, offset + stride, .., offset + 5 stride."""
    v0, v1, v2, v3, v4, v5 = vectors
    store(array, offset, v0)
    store(array, offset + stride, v1)
    store(array, offset + 2 * stride, v2)
    store(array, offset + 3 * stride, v3)
    store(array, offset + 4 * stride, v4)
    store(array, offset + 5 * stride, v5)


@always_inline
def repeat6(vector):
    """The vector six times."""
    return vector, vector, vector, vector, vector, vector


def _define_operator(symbol, instruction):
    """Define an operator for two vectors, or a vector and a number.  LLVM may contract a product and a sum into one FMA."""

    @intrinsic
    def apply(typing_context, a, b):
        return a(a, b), lambda context, builder, signature, args: getattr(builder, instruction)(*args, flags=("contract",))

    @overload(symbol)
    def typed(a, b):
        if isinstance(a, Vector) and a == b:
            return lambda a, b: apply(a, b)
        if isinstance(a, types.Number) and isinstance(b, Vector):
            real = np.float32 if b.dtype == types.float32 else np.float64
            return lambda a, b: apply(splat(real(a)), b)
        if isinstance(a, Vector) and isinstance(b, types.Number):
            real = np.float32 if a.dtype == types.float32 else np.float64
            return lambda a, b: apply(a, splat(real(b)))
        return None


for _symbol, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv")):
    _define_operator(_symbol, _instruction)
