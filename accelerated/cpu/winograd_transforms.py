"""3x3 convolution of stride 1 with a quarter of the multiplications: F(4x4, 3x3) of Winograd 1980, as Lavin and Gray 2016 use it.

A tile of 4x4 outputs y depends on 6x6 inputs d.  With the weights g of one filter,

    y = Aᵀ [(G g Gᵀ) ∘ (Bᵀ d B)] A,                                                                     (1)

36 products instead of 144.  Let m be their sums over input channels.  Each of the 36 entries of m is a matrix product of its own:

     6x6 inputs of          36 planes,              36 matrix products         36 planes,            4x4 outputs of
     a tile, i channels     one entry each          with transformed weights   o channels            a tile, o channels

     . . . . . .             +-----------+                                      +-----------+
     . . . . . .   Bᵀ d B   +-----------+|     plane p: [tiles,i] [i,o]        +-----------+|  Aᵀ m A    . . . .
     . . . . . .   ------>  | tiles x i ||     --------------------------->    | tiles x o ||  ------>   . . . .
     . . . . . .            |           ||     weights: G g Gᵀ, [36,i,o]       |           ||            . . . .
     . . . . . .            |           |+                                     |           |+            . . . .
     . . . . . .            +-----------+                                      +-----------+

(1) multiplies polynomials by their values at the six points 0, a, -a, b, -b and infinity (Toom and Cook).  With N = 2 a^2 (a^2 - b^2) and
M = 2 b^2 (b^2 - a^2) the matrices are

          | a^2 b^2     0      -a^2-b^2      0       1    0 |   point 0
          |    0     -a b^2     -b^2         a       1    0 |         a
    Bᵀ =  |    0      a b^2     -b^2        -a       1    0 |        -a
          |    0     -a^2 b     -a^2         b       1    0 |         b
          |    0      a^2 b     -a^2        -b       1    0 |        -b
          |    0     a^2 b^2       0     -a^2-b^2    0    1 |         infinity

          | 1/(a^2 b^2)    0      0    |
          |    1/N        a/N   a^2/N  |
    G  =  |    1/N       -a/N   a^2/N  |
          |    1/M        b/M   b^2/M  |
          |    1/M       -b/M   b^2/M  |
          |     0          0      1    |

          |  1    1     1     1     1    0 |
    Aᵀ =  |  0    a    -a     b    -b    0 |
          |  0   a^2   a^2   b^2   b^2   0 |
          |  0   a^3  -a^3   b^3  -b^3   1 |

The usual points, a = 1 and b = 2, are inaccurate in single precision, since rounding errors grow with the sizes of these numbers.  Of all
pairs a = 5/8 and b = 3/2 is nearly the best: the error is less than half, and all of Bᵀ and Aᵀ are exact:

          | .87890625     0      -2.640625      0       1    0 |
          |    0      -1.40625     -2.25       .625     1    0 |
    Bᵀ =  |    0       1.40625     -2.25      -.625     1    0 |       N = -1.4526..
          |    0     -.5859375   -.390625      1.5      1    0 |       M =  8.3671..
          |    0      .5859375   -.390625     -1.5      1    0 |
          |    0     .87890625       0     -2.640625    0    1 |

Along one axis, d = (1, 2, 3, 4, 5, 6) and g = (1, 2, 3) give

    Bᵀ d        = (-2.043, -2.062, -1.438,  8.656, -1.000, -2.805)
    G g         = ( 1.138, -2.356, -0.635,  1.285,  0.568,  3.000)
    product     = (-2.324,  4.858,  0.912, 11.121, -0.568, -8.414)
    Aᵀ product  = (14, 20, 26, 32),   y_0 = 1·1 + 2·2 + 3·3 = 14, and so on.

The gradient with respect to x is a convolution with the weights turned by 180 degrees, from o to i channels.  The gradient with respect to
g follows from (1), where y is linear in g:

    dg = Gᵀ [(Bᵀ d B) ∘ (A dy Aᵀ)] G,   summed over tiles,                                              (2)

again 36 matrix products, [i,tiles] [tiles,o].

The functions below apply one matrix along one axis, to numbers or to vectors of channels.  The rows of a and -a differ only in the sign of
the odd powers of a, and the rows of b and -b only in the odd powers of b: each pair is an even part plus and minus an odd part.
"""

from accelerated.cpu.simd import always_inline

POINT_A = 5 / 8
POINT_B = 3 / 2
A2 = POINT_A * POINT_A
B2 = POINT_B * POINT_B
N = 2 * A2 * (A2 - B2)
M = 2 * B2 * (B2 - A2)


@always_inline
def input_transform(d):
    """Bᵀ d, six numbers of six."""
    d0, d1, d2, d3, d4, d5 = d
    a_even = d4 - B2 * d2
    a_odd = POINT_A * (d3 - B2 * d1)
    b_even = d4 - A2 * d2
    b_odd = POINT_B * (d3 - A2 * d1)
    zero = (A2 * B2) * d0 - (A2 + B2) * d2 + d4
    infinity = (A2 * B2) * d1 - (A2 + B2) * d3 + d5
    return zero, a_even + a_odd, a_even - a_odd, b_even + b_odd, b_even - b_odd, infinity


@always_inline
def weight_transform(g0, g1, g2):
    """G g, six numbers of three."""
    a_even = (1 / N) * g0 + (A2 / N) * g2
    a_odd = (POINT_A / N) * g1
    b_even = (1 / M) * g0 + (B2 / M) * g2
    b_odd = (POINT_B / M) * g1
    return (1 / (A2 * B2)) * g0, a_even + a_odd, a_even - a_odd, b_even + b_odd, b_even - b_odd, g2


@always_inline
def output_transform(m):
    """Aᵀ m, four numbers of six."""
    m0, m1, m2, m3, m4, m5 = m
    a_sum = m1 + m2
    a_odd = POINT_A * (m1 - m2)
    b_sum = m3 + m4
    b_odd = POINT_B * (m3 - m4)
    return m0 + a_sum + b_sum, a_odd + b_odd, A2 * a_sum + B2 * b_sum, A2 * a_odd + B2 * b_odd + m5


@always_inline
def output_gradient_transform(y0, y1, y2, y3):
    """A y, six numbers of four."""
    a_even = y0 + A2 * y2
    a_odd = POINT_A * (y1 + A2 * y3)
    b_even = y0 + B2 * y2
    b_odd = POINT_B * (y1 + B2 * y3)
    return y0, a_even + a_odd, a_even - a_odd, b_even + b_odd, b_even - b_odd, y3


@always_inline
def weight_gradient_transform(s):
    """Gᵀ s, three numbers of six."""
    s0, s1, s2, s3, s4, s5 = s
    a_sum = s1 + s2
    b_sum = s3 + s4
    odd = (POINT_A / N) * (s1 - s2) + (POINT_B / M) * (s3 - s4)
    return (1 / (A2 * B2)) * s0 + (1 / N) * a_sum + (1 / M) * b_sum, odd, (A2 / N) * a_sum + (B2 / M) * b_sum + s5
