"""The affine map y = x w + b: the pattern of every op and of every derivation here.

Forward, by index:

    y_no = sum_i x_ni w_io + b_o.

Backward.  dy is the gradient of the loss with respect to y.  By the chain rule, the gradient with
respect to an input sums, over all entries of y, dy times the derivative of that entry:

    dx_ni = sum_o dy_no w_io,    since dy_no/dx_ni = w_io      dx = dy wᵀ
    dw_io = sum_n x_ni dy_no,    since dy_no/dw_io = x_ni      dw = xᵀ dy
    db_o  = sum_n dy_no,         since dy_no/db_o  = 1

x_ni reaches all outputs o of its own sample; w_io and b_o are shared by all samples n.
"""

from reference.ops.checks import Array, check, takes_out


@takes_out
def linear(x: Array, w: Array, b: Array | None = None) -> Array:
    """x[n,i], w[i,o], b[o] -> y[n,o] = x w + b.  Without ``b``, y = x w.  If x is a direction, that
    is the derivative of the affine map along x.
    """
    check("x[n,i] w[i,o]", x, w) if b is None else check("x[n,i] w[i,o] b[o]", x, w, b)
    y = x @ w
    return y if b is None else y + b


@takes_out
def linear_backward(dy: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
    """Gradients of ``linear``.  dy[n,o], x[n,i], w[i,o] -> dx[n,i], dw[i,o], db[o]."""
    check("dy[n,o] x[n,i] w[i,o]", dy, x, w)
    dx = dy @ w.T
    dw = x.T @ dy
    db = dy.sum(axis=0)
    return dx, dw, db
