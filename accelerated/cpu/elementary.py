"""Elementary functions that LLVM turns into vector code: no calls, no branches, the same few operations for every argument.

exp.  x = n ln 2 + r with n whole and |r| <= ln 2 / 2, so that e^x = 2^n e^r.  n comes from adding and subtracting a number so large
(1.5 2^23, in double precision 1.5 2^52) that the sum has no bits for a fraction; its low bits are then n itself, which shifted into place
is the exponent of 2^n.  ln 2 is taken in two parts, the first with few enough bits that n times it is exact.  e^r is its Taylor series:
the first term left out is below 2^-27 (eight terms) or 2^-57 (fourteen).  2^n is applied in two halves, to reach the smallest numbers.

exp2.  2^x = 2^n e^(r ln 2) with |r| <= 1/2 exact: the same series in r ln 2, whose powers are part of the coefficients.

expm1.  e^x - 1 = 2^n (e^r - 1) + (2^n - 1), where e^r - 1 is r times a series; n is 0 for small x, and nothing cancels.

log.  x = 2^n m with m in [sqrt(1/2), sqrt(2)), read off the bits: those of sqrt(1/2) subtracted, what stands above the fraction is n.
With s = f / (2 + f), f = m - 1 exact, is log m = 2 artanh s = f - s (f - R), R = 2 s^2/3 + 2 s^4/5 + ..: the large term f is not rounded,
so that the relative error stays small near 1.  |s| <= 0.172; the first term left out is below 2^-28 (four terms) or 2^-60 (ten).

cos and sin.  x = n pi/2 + y with n whole, as for exp, and |y| <= pi/4; Taylor series of both in y; the last two bits of n say which of the
two is which, and their signs.  The first terms left out are below 2^-58.
"""

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

from accelerated.cpu.simd import LANES, Vector, maximum

SAME_WIDTH = {types.float32: types.int32, types.float64: types.int64, types.int32: types.float32, types.int64: types.float64}
FUSED = {"contract"}  # a product and a sum may be one instruction with one rounding
# a whole number of the same width, the bits of a fraction, the exponent of 1, and the first bits of ln 2
FORMATS: dict = {
    types.float32: (np.float32, np.int32, 23, 127, 0.693359375),
    types.float64: (np.float64, np.int64, 52, 1023, float.fromhex("0x1.62e42feep-1")),
}
LN2 = float.fromhex("0x1.62e42fefa39efp-1"), float.fromhex("0x1.abc9e3b39803fp-56")  # their sum


@intrinsic
def bits(typing_context, x):
    """A float's bits as a whole number of the same width, or back."""
    target = SAME_WIDTH[x]
    return target(x), lambda context, builder, signature, args: builder.bitcast(args[0], context.get_value_type(target))


def _number(x):
    """The type of x, a number or a vector of them."""
    return getattr(x, "dtype", x)


@intrinsic
def times_power(typing_context, x, shifted):
    """x 2^n, both normal numbers, where n is the low bits of ``shifted``."""
    point = FORMATS[_number(x)][2]

    def generate(context, builder, signature, args):
        whole = ir.IntType(_number(x).bitwidth)
        whole, points = (ir.VectorType(whole, LANES), [point] * LANES) if isinstance(x, Vector) else (whole, point)
        number, n = (builder.bitcast(arg, whole) for arg in args)
        return builder.bitcast(builder.add(number, builder.shl(n, ir.Constant(whole, points))), args[0].type)

    return x(x, shifted), generate


@njit(fastmath=FUSED)
def _polynomial(c, x):
    """c[0] x^n + c[1] x^(n-1) + .. + c[n], by Horner's rule."""
    y = x * c[0] + c[1]
    for coefficient in c[2:]:
        y = y * x + coefficient
    return y


def _reduced(x):
    """r, and the sum whose low bits are n."""


@overload(_reduced, jit_options={"fastmath": FUSED})
def _implement_reduced(x):
    real, _, point, _, ln2 = FORMATS[x]
    log2_e, large = real(1 / math.log(2)), real(1.5 * 2.0**point)
    ln2, rest = real(ln2), real(LN2[0] - ln2 + LN2[1])

    def implementation(x):
        shifted = x * log2_e + large
        n = shifted - large
        return (x - n * ln2) - n * rest, shifted

    return implementation


def _series(r):
    """(e^r - 1) / r"""


@overload(_series, jit_options={"fastmath": FUSED})
def _implement_series(r):
    real, terms = FORMATS[r][0], 8 if r == types.float32 else 14
    c = tuple(real(1 / math.factorial(k)) for k in reversed(range(1, terms)))  # Horner's rule begins with the last

    return lambda r: _polynomial(c, r)


def exp(x):
    """e^x in x's dtype, within two roundings; 0 and infinity where these are nearest, NaN of NaN."""


@overload(exp, jit_options={"fastmath": FUSED})
def _implement_exp(x):
    real, whole, point, bias, _ = FORMATS[x]
    low, high = (-105, 89) if x == types.float32 else (-746, 710)
    low, high, one, large_bits = real(low), real(high), real(1), real(1.5 * 2.0**point).view(whole)
    point, bias = whole(point), whole(bias)

    def implementation(x):
        x = low if x < low else x
        x = high if x > high else x
        r, shifted = _reduced(x)
        k = whole(bits(shifted) - large_bits)
        half = whole(k >> 1)
        return (_series(r) * r + one) * bits(whole((half + bias) << point)) * bits(whole((k - half + bias) << point))

    return implementation


def exp2(x):
    """2^x for x <= 0, of a number or a vector, within two roundings; less than the smallest normal number where x is below its exponent,
    and 0 from the next one down; NaN of NaN."""


@overload(exp2, jit_options={"fastmath": FUSED})
def _implement_exp2(x):
    real, _, point, bias, _ = FORMATS[_number(x)]
    terms = 8 if _number(x) == types.float32 else 14
    low, large, one = real(-bias), real(1.5 * 2.0**point), real(1)  # 1 has the exponent ``bias``: less it, no bit is left
    c = tuple(real(math.log(2) ** k / math.factorial(k)) for k in reversed(range(1, terms)))

    def implementation(x):
        x = maximum(low, x)
        shifted = x + large
        r = x - (shifted - large)
        return times_power(_polynomial(c, r) * r + one, shifted)

    return implementation


def expm1(x):
    """e^x - 1 in x's dtype, within three roundings."""


@overload(expm1, jit_options={"fastmath": FUSED})
def _implement_expm1(x):
    real = FORMATS[x][0]
    low, high = (-80, 89) if x == types.float32 else (-700, 710)
    low, high, half, two = real(low), real(high), real(0.5), real(2)

    def implementation(x):
        x = low if x < low else x
        x = high if x > high else x
        r, shifted = _reduced(x)
        scale = times_power(half, shifted)  # 2^n / 2, which is finite for the largest n
        return two * (scale * (_series(r) * r) + (scale - half))

    return implementation


def logistic(x):
    """1 / (1 + e^-x) in x's dtype, within three roundings; for negative x it is e^x / (1 + e^x), which reaches the smallest numbers."""


@overload(logistic, jit_options={"fastmath": FUSED})
def _implement_logistic(x):
    zero, one = FORMATS[x][0](0), FORMATS[x][0](1)

    def implementation(x):
        e = exp(-abs(x))
        return (e if x < zero else one) / (one + e)

    return implementation


def log(x):
    """Natural logarithm of x, positive and not below the smallest normal number, in x's dtype within two roundings; NaN of NaN."""


@overload(log, jit_options={"fastmath": FUSED})
def _implement_log(x):
    real, whole, point, bias, ln2 = FORMATS[x]
    ln2, rest = real(ln2), real(LN2[0] - ln2 + LN2[1])
    one, two = real(1), real(2)
    root, fraction = real(math.sqrt(0.5)).view(whole), whole(2**point - 1)
    up, large, large_bits, point = one.view(whole) - root, real(2.0**point + bias), real(2.0**point).view(whole), whole(point)
    c = tuple(real(2 / (2 * k + 1)) for k in reversed(range(1, 5 if x == types.float32 else 11)))

    def implementation(x):
        shifted = whole(bits(x) + up)
        n = bits(whole((shifted >> point) | large_bits)) - large  # a whole number is the fraction of its sum with 2^point
        f = bits(whole((shifted & fraction) + root)) - one
        s = f / (two + f)
        z = s * s
        return (f - s * (f - z * _polynomial(c, z))) + n * rest + n * ln2 if x == x else x

    return implementation


LARGE = 1.5 * 2.0**52
HALF_PI = float.fromhex("0x1.921fb544p0"), float.fromhex("0x1.0b4611a626331p-34")  # the first few bits, and the rest
SINE = tuple((-1) ** k / math.factorial(2 * k + 1) for k in reversed(range(1, 9)))
COSINE = tuple((-1) ** k / math.factorial(2 * k) for k in reversed(range(1, 9)))


@njit(fastmath=FUSED)
def cos_sin(x):
    """(cos x, sin x) in float64 for |x| <= 2^20, within 2^-52; NaN of NaN and of infinity."""
    shifted = x * (2 / np.pi) + LARGE
    n = shifted - LARGE
    y = (x - n * HALF_PI[0]) - n * HALF_PI[1]
    z = y * y
    sine, cosine = y + y * (z * _polynomial(SINE, z)), 1 + z * _polynomial(COSINE, z)
    quarter = bits(shifted)
    c, s = (sine, cosine) if quarter & 1 else (cosine, sine)
    return bits(bits(c) ^ ((quarter + 1 & 2) << 62)), bits(bits(s) ^ ((quarter & 2) << 62))
