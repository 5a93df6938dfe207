"""The affine map ``y = x w + b``."""

from reference.ops.checks import check, takes_out


@takes_out
def linear(x, w, b=None):
    """x[n,i], w[i,o], b[o] -> y[n,o] = x w + b.  Without ``b`` the map is linear: that is the
    derivative of the affine one.
    """
    check("x[n,i] w[i,o]", x, w) if b is None else check("x[n,i] w[i,o] b[o]", x, w, b)
    y = x @ w
    return y if b is None else y + b


@takes_out
def linear_backward(dy, x, w):
    """Gradients of ``linear``.  dy[n,o], x[n,i], w[i,o] -> dx[n,i], dw[i,o], db[o]."""
    check("dy[n,o] x[n,i] w[i,o]", dy, x, w)
    dx = dy @ w.T  # y_no = sum_i x_ni w_io + b_o
    dw = x.T @ dy
    db = dy.sum(axis=0)
    return dx, dw, db
