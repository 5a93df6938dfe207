"""Elementary functions that LLVM turns into vector code: they have no calls and no branches.

exp.  x = n ln 2 + r with an integer n and |r| <= ln 2 / 2, so e^x = 2^n e^r.  To round x / ln 2 to n, a large number is added and
subtracted: 1.5 2^23, or 1.5 2^52 in double precision.  The sum has no bits for a fraction, and its low bits are n.  Shifted into place,
n is the exponent of 2^n.  ln 2 is split into two parts; the first has so few bits that n times it is exact.  e^r is its Taylor series: the
first omitted term is below 2^-27 (eight terms) or 2^-57 (fourteen).  2^n is applied in two halves, to reach the smallest numbers.

exp2.  2^x = 2^n e^{r ln 2} with |r| <= 1/2, exact.  The series is the same in r ln 2; powers of ln 2 are part of the coefficients.

expm1.  e^x - 1 = 2^n (e^r - 1) + (2^n - 1), where e^r - 1 is r times a series.  For small x, n is 0 and nothing cancels.

log.  x = 2^n m with m in [sqrt(1/2), sqrt(2)).  The bits of sqrt(1/2) are subtracted from the bits of x; n is then above the fraction.
With f = m - 1, which is exact, and s = f / (2 + f), log m = 2 artanh s = f - s (f - R), R = 2 s^2/3 + 2 s^4/5 + ...  The large term f isn't
rounded, so the relative error stays small near 1.  |s| <= 0.172; the first omitted term is below 2^-28 (four terms) or 2^-60 (ten).

cos and sin.  x = n pi/2 + y with an integer n, found as for exp, and |y| <= pi/4.  Both are Taylor series in y.  The last two bits of n
decide which series is the cosine, and the signs.  The first omitted terms are below 2^-58.
"""

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

from accelerated.cpu.simd import LANES, Vector, maximum

SAME_WIDTH = {types.float32: types.int32, types.float64: types.int64, types.int32: types.float32, types.int64: types.float64}
FUSED = {"contract"}  # fast-math flag: a product and a sum may become one FMA, with one rounding
# by Numba type: NumPy's type, the integer type of that width, number of bits of the fraction, exponent of 1, first bits of ln 2
FORMATS: dict = {
    types.float32: (np.float32, np.int32, 23, 127, 0.693359375),
    types.float64: (np.float64, np.int64, 52, 1023, float.fromhex("0x1.62e42feep-1")),
}
LN2 = float.fromhex("0x1.62e42fefa39efp-1"), float.fromhex("0x1.abc9e3b39803fp-56")  # ln 2 is their sum


@intrinsic
def bits(typing_context, x):
    """The bits of a float as an integer of the same width, or the float of such an integer."""
    target = SAME_WIDTH[x]
    return target(x), lambda context, builder, signature, args: builder.bitcast(args[0], context.get_value_type(target))


def _scalar_type(x):
    """The type of the numbers of x, a number or a vector."""
    return getattr(x, "dtype", x)


@intrinsic
def times_power_of_two(typing_context, x, shifted):
    """x 2^n, where n is the low bits of ``shifted``; x and x 2^n must be normal numbers."""
    point = FORMATS[_scalar_type(x)][2]

    def generate(context, builder, signature, args):
        integer = ir.IntType(_scalar_type(x).bitwidth)
        integer, points = (ir.VectorType(integer, LANES), [point] * LANES) if isinstance(x, Vector) else (integer, point)
        number, n = (builder.bitcast(arg, integer) for arg in args)
        return builder.bitcast(builder.add(number, builder.shl(n, ir.Constant(integer, points))), args[0].type)

    return x(x, shifted), generate


@njit(fastmath=FUSED)
def _polynomial(c, x):
    """c[0] x^n + c[1] x^{n-1} + .. + c[n], by Horner's rule."""
    y = x * c[0] + c[1]
    for coefficient in c[2:]:
        y = y * x + coefficient
    return y


def _reduced(x):
    """Argument reduction of exp: r, and the sum with the low bits n."""


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
    """(e^r - 1) / r."""


@overload(_series, jit_options={"fastmath": FUSED})
def _implement_series(r):
    real, terms = FORMATS[r][0], 8 if r == types.float32 else 14
    c = tuple(real(1 / math.factorial(k)) for k in reversed(range(1, terms)))  # from the last term on, for Horner's rule

    return lambda r: _polynomial(c, r)


def exp(x):
    """e^x in x's dtype, within two roundings.  It underflows to 0 and overflows to infinity; NaN for NaN."""


@overload(exp, jit_options={"fastmath": FUSED})
def _implement_exp(x):
    real, integer, point, bias, _ = FORMATS[x]
    low, high = (-105, 89) if x == types.float32 else (-746, 710)
    low, high, one, large_bits = real(low), real(high), real(1), real(1.5 * 2.0**point).view(integer)
    point, bias = integer(point), integer(bias)

    def implementation(x):
        x = low if x < low else x
        x = high if x > high else x
        r, shifted = _reduced(x)
        k = integer(bits(shifted) - large_bits)
        half = integer(k >> 1)
        return (_series(r) * r + one) * bits(integer((half + bias) << point)) * bits(integer((k - half + bias) << point))

    return implementation


def exp2(x):
    """2^x of a number or a vector, x <= 0, within two roundings.  NaN for NaN.

    For x < 1 - bias (bias 127, or 1023 in float64) the result is below the smallest normal number, but inaccurate; for x <= -bias it is 0.
    """


@overload(exp2, jit_options={"fastmath": FUSED})
def _implement_exp2(x):
    real, _, point, bias, _ = FORMATS[_scalar_type(x)]
    terms = 8 if _scalar_type(x) == types.float32 else 14
    low, large, one = real(-bias), real(1.5 * 2.0**point), real(1)  # 1 has the exponent ``bias``; minus that, all bits are 0
    c = tuple(real(math.log(2) ** k / math.factorial(k)) for k in reversed(range(1, terms)))

    def implementation(x):
        x = maximum(low, x)
        shifted = x + large
        r = x - (shifted - large)
        return times_power_of_two(_polynomial(c, r) * r + one, shifted)

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
        scale = times_power_of_two(half, shifted)  # 2^n / 2, which is finite even for the largest n
        return two * (scale * (_series(r) * r) + (scale - half))

    return implementation


def logistic(x):
    """1 / (1 + e^{-x}) in x's dtype, within three roundings.  For x < 0 it is e^x / (1 + e^x), which reaches the smallest numbers."""


@overload(logistic, jit_options={"fastmath": FUSED})
def _implement_logistic(x):
    zero, one = FORMATS[x][0](0), FORMATS[x][0](1)

    def implementation(x):
        e = exp(-abs(x))
        return (e if x < zero else one) / (one + e)

    return implementation


def log(x):
    """Natural logarithm of x, in x's dtype, within two roundings.  x must not be below the smallest normal number; NaN for NaN."""


@overload(log, jit_options={"fastmath": FUSED})
def _implement_log(x):
    real, integer, point, bias, ln2 = FORMATS[x]
    ln2, rest = real(ln2), real(LN2[0] - ln2 + LN2[1])
    one, two = real(1), real(2)
    root, fraction = real(math.sqrt(0.5)).view(integer), integer(2**point - 1)
    up = one.view(integer) - root
    large = real(2.0**point + bias)
    large_bits = real(2.0**point).view(integer)
    point = integer(point)
    c = tuple(real(2 / (2 * k + 1)) for k in reversed(range(1, 5 if x == types.float32 else 11)))

    def implementation(x):
        shifted = integer(bits(x) + up)
        n = bits(integer((shifted >> point) | large_bits)) - large  # the fraction of 2^point + k is the integer k
        f = bits(integer((shifted & fraction) + root)) - one
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
    """(cos x, sin x) in float64 for |x| <= 2^20, within 2^-52.  NaN for NaN and infinity."""
    shifted = x * (2 / np.pi) + LARGE
    n = shifted - LARGE
    y = (x - n * HALF_PI[0]) - n * HALF_PI[1]
    z = y * y
    sine, cosine = y + y * (z * _polynomial(SINE, z)), 1 + z * _polynomial(COSINE, z)
    quarter = bits(shifted)
    c, s = (sine, cosine) if quarter & 1 else (cosine, sine)
    return bits(bits(c) ^ ((quarter + 1 & 2) << 62)), bits(bits(s) ^ ((quarter & 2) << 62))
