"""The contract between the reference and every port: one row an op.

A port is a module that exports these names.  A row states

- the arguments and results with their axes, in the notation of reference/ops/checks.py; words
  without brackets are plain numbers;
- the arguments that ``NAME_backward`` returns gradients of;
- the rule by which a port's result is accepted (reference/conformance/tolerances.py);
- the least work: operations and bytes.

Every op that a port has must also keep the calling rules.  reference/conformance/calling_rules.py
checks each of them; ``check`` and ``takes_out`` of reference/ops/checks.py help a port to keep
them:

    arguments   NumPy arrays of any layout: strided, reversed, in Fortran order or read-only.  They
                are not changed.
    results     In the arguments' dtype, float32 or float64, and in memory of their own: no view of
                an argument, no buffer used twice.
    out=        An array, or a tuple with one for each result, of any layout: filled and returned.
                TypeError for another type or dtype, ValueError for another shape or number.
    NAME_       An op whose name ends so works in place on its targets
                (reference/conformance/call.py), has no ``out=`` and returns None.  ValueError for a
                read-only target.
    errors      TypeError for an argument that is not an array, for a dtype that is not float32 or
                float64 or differs from that of the other arrays, and for floats in place of
                integers or of True and False.  ValueError for shapes and numbers that do not fit.
    samples     For no samples: empty results and gradients of zero; a loss raises ValueError.  A
                sample that is not finite has a result that is not finite, and changes no other
                sample's result.
    mask        Of ``attention``; it may be left out.  A key that it leaves out may hold anything,
                also NaN: it changes no result, and its gradients are 0.

A port may lack ops.  ``python -m accelerated`` takes them from the reference and names them, unless
the port has ``to_device``.  A port may also have the hooks of ``Port`` (reference/runs/devices.py),
which are looked up by name.

An addition, a multiplication, a division, a comparison and a call of exp, log, sqrt, sin or cos
count as one operation each.  Bytes count every argument read once and every result written once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from types import SimpleNamespace

from reference.ops.checks import match, parse

RULES = ("product", "general", "copy", "bits")


@dataclass(frozen=True)
class Op:
    """A row.  ``family``: the reference's file in reference/ops; ``rule``: one of ``RULES``."""

    family: str
    name: str
    signature: str
    gradients: str  # of the arguments named here, in this order
    rule: str
    operations: Callable

    @property
    def arguments(self):
        return self.signature.split(" -> ")[0]

    @property
    def results(self):
        return self.signature.partition(" -> ")[2]

    @property
    def backward(self):
        return f"{self.name}_backward" if self.gradients else None

    def sizes(self, *shapes):
        """Axis -> size, from the shapes of all arrays in the signature, arguments first."""
        found: dict = {}
        for (name, _, axes), shape in zip(parse(self.signature), shapes, strict=True):
            match(name, axes, shape, found)
        return found

    def flops(self, *shapes):
        """Operations, for the shapes of all arrays in the signature.  ``s.n`` is the size of axis
        n, ``s.rest`` the number of entries of the dots.
        """
        sizes = {
            "rest" if axis == "..." else axis: _count(size)
            for axis, size in self.sizes(*shapes).items()
        }
        return self.operations(SimpleNamespace(**sizes))

    def bytes(self, *shapes, itemsize=4):
        """The least bytes to and from memory: 8 for an integer, 1 for True or False, else
        ``itemsize``.
        """
        of_kind = {"int": 8, "bool": 1}
        kinds = [kind for _, kind, _ in parse(self.signature)]
        return sum(
            prod(shape) * of_kind.get(kind, itemsize)
            for kind, shape in zip(kinds, shapes, strict=True)
        )


def _count(size):
    return prod(size) if isinstance(size, tuple) else size


def _entries(s):
    return s.b * s.rest


# fmt: off
CONTRACT = (
    Op("linear", "linear", "x[n,i] w[i,o] b[o] -> y[n,o]",
       "x w b", "product", lambda s: 2 * s.n * s.i * s.o),
    Op("linear", "linear_backward", "dy[n,o] x[n,i] w[i,o] -> dx[n,i] dw[i,o] db[o]",
       "", "product", lambda s: (4 * s.i + 1) * s.n * s.o),
    Op("conv", "conv2d", "x[b,h,w,i] w[k,k,i,o] b[o] stride add[b,p,q,o] -> y[b,m,n,o]",
       "x w b add", "product", lambda s: (2 * s.k**2 * s.i + 1) * s.b * s.m * s.n * s.o),
    Op("conv", "conv2d_backward",
       "dy[b,m,n,o] x[b,h,w,i] w[k,k,i,o] stride add[b,p,q,o]"
       " -> dx[b,h,w,i] dw[k,k,i,o] db[o] dadd[b,p,q,o]",
       "", "product", lambda s: (4 * s.k**2 * s.i + 1) * s.b * s.m * s.n * s.o),
    Op("norm", "group_norm",
       "x[b,...,c] scale[c] shift[c] groups eps -> y[b,...,c] mean[b,g] rstd[b,g]",
       "x scale shift", "general", lambda s: 8 * _entries(s) * s.c + 3 * s.b * s.g),
    Op("norm", "group_norm_backward",
       "dy[b,...,c] x[b,...,c] scale[c] shift[c] groups mean[b,g] rstd[b,g]"
       " -> dx[b,...,c] dscale[c] dshift[c]",
       "", "general", lambda s: 13 * _entries(s) * s.c),
    Op("norm", "group_norm_silu",
       "x[b,...,c] scale[c] shift[c] groups eps -> y[b,...,c] mean[b,g] rstd[b,g]",
       "x scale shift", "general", lambda s: 12 * _entries(s) * s.c + 3 * s.b * s.g),
    Op("norm", "group_norm_silu_backward",
       "dy[b,...,c] x[b,...,c] scale[c] shift[c] groups mean[b,g] rstd[b,g]"
       " -> dx[b,...,c] dscale[c] dshift[c]",
       "", "general", lambda s: 23 * _entries(s) * s.c),
    Op("activation", "silu", "x[...] -> y[...]",
       "x", "general", lambda s: 4 * s.rest),
    Op("activation", "silu_backward", "dy[...] x[...] -> dx[...]",
       "", "general", lambda s: 8 * s.rest),
    Op("activation", "silu_second", "dy[...] v[...] x[...] -> dx[...]",
       "", "general", lambda s: 12 * s.rest),
    Op("activation", "softmax", "x[...,n] -> y[...,n]",
       "", "general", lambda s: 5 * s.rest * s.n),
    Op("attention", "attention",
       "q[b,n,c] k[b,m,c] v[b,m,c] heads mask:bool[b,m] -> y[b,n,c] logsumexp[b,h,n]",
       "q k v", "general", lambda s: s.b * s.n * s.m * (4 * s.c + 5 * s.h)),
    Op("attention", "attention_backward",
       "dy[b,n,c] q[b,n,c] k[b,m,c] v[b,m,c] heads y[b,n,c] logsumexp[b,h,n] mask:bool[b,m]"
       " -> dq[b,n,c] dk[b,m,c] dv[b,m,c]",
       "", "general", lambda s: s.b * s.n * s.m * (10 * s.c + 5 * s.h)),
    Op("resample", "upsample_nearest", "x[b,h,w,c] -> y[b,m,n,c]",
       "x", "copy", lambda s: 0),
    Op("resample", "upsample_nearest_backward", "dy[b,m,n,c] -> dx[b,h,w,c]",
       "", "general", lambda s: 3 * s.b * s.h * s.w * s.c),
    Op("resample", "average_pool", "x[b,h,w,c] -> y[b,m,n,c]",
       "x", "general", lambda s: 4 * s.b * s.m * s.n * s.c),
    Op("resample", "average_pool_backward", "dy[b,m,n,c] -> dx[b,h,w,c]",
       "", "general", lambda s: s.b * s.m * s.n * s.c),
    Op("resample", "concat", "x[b,...,c] y[b,...,d] -> z[b,...,e]",
       "x y", "copy", lambda s: 0),
    Op("resample", "concat_backward",
       "dy[b,...,e] x[b,...,c] y[b,...,d] -> dx[b,...,c] dy[b,...,d]",
       "", "copy", lambda s: 0),
    Op("embedding", "timestep_embedding", "c[b] width shift -> y[b,d]",
       "", "general", lambda s: 2 * s.b * s.d),
    Op("embedding", "embedding", "labels:int[b] table[k,d] -> y[b,d]",
       "table", "copy", lambda s: 0),
    Op("embedding", "embedding_backward", "dy[b,d] labels:int[b] table[k,d] -> dtable[k,d]",
       "", "product", lambda s: s.b * s.d),
    Op("loss", "mse", "y[b,...] target[b,...] -> mean[] per_sample[b]",
       "y", "general", lambda s: 3 * _entries(s)),
    Op("loss", "mse_backward", "d_per_sample[b] y[b,...] target[b,...] -> dy[b,...]",
       "", "general", lambda s: 4 * _entries(s)),
    Op("loss", "gaussian_kl", "mean[b,...] log_var[b,...] -> per_sample[b]",
       "mean log_var", "general", lambda s: 7 * _entries(s)),
    Op("loss", "gaussian_kl_backward",
       "d_per_sample[b] mean[b,...] log_var[b,...] -> dmean[b,...] dlog_var[b,...]",
       "", "general", lambda s: 5 * _entries(s)),
    Op("loss", "cross_entropy", "logits[b,k] labels:int[b] -> mean[] per_sample[b]",
       "logits", "general", lambda s: 4 * s.b * (s.k + 1)),
    Op("loss", "cross_entropy_backward",
       "d_per_sample[b] logits[b,k] labels:int[b] -> dlogits[b,k]",
       "", "general", lambda s: s.b * (6 * s.k + 1)),
    Op("optimizer", "adam_step_", "p[...] g[...] m[...] v[...] step lr beta1 beta2 eps",
       "", "general", lambda s: 14 * s.rest),
    Op("optimizer", "ema_step_", "average[...] p[...] decay",
       "", "general", lambda s: 3 * s.rest),
    Op("optimizer", "global_norm", "arrays[...] -> norm[]",
       "", "general", lambda s: 2 * s.rest),
    Op("random", "philox_bits", "seed sample:int[b] step purpose count -> bits[b,n]",
       "", "bits", lambda s: 25 * s.b * s.n),
    Op("random", "uniform", "seed sample:int[b] step purpose shape dtype -> u[b,...]",
       "", "bits", lambda s: 27 * _entries(s)),
    Op("random", "normal", "seed sample:int[b] step purpose shape dtype -> z[b,...]",
       "", "general", lambda s: 32 * _entries(s)),
    Op("mixture", "mixture_log_density", "x[n,d] weights[k] means[k,d] covariances[k,...] -> y[n]",
       "", "general", lambda s: s.n * s.k * (s.d**2 + 3 * s.d + 4)),
    Op("mixture", "mixture_score", "x[n,d] weights[k] means[k,d] covariances[k,...] -> y[n,d]",
       "", "general", lambda s: s.n * s.k * (2 * s.d**2 + 5 * s.d + 5)),
    Op("diffusion", "add_noise", "x0[b,...] signal noise_scale noise[b,...] -> x[b,...]",
       "", "general", lambda s: 3 * _entries(s)),
    Op("diffusion", "reverse_step", "x[b,...] prediction[b,...] a b c noise[b,...] -> y[b,...]",
       "", "general", lambda s: 5 * _entries(s)),
    Op("fokker_planck", "fokker_planck_step", "p[n] drift[f] diffusion[f] dx dt periodic -> q[n]",
       "", "general", lambda s: 34 * s.n),
    Op("fokker_planck", "fokker_planck_step_2d",
       "p[n,m] drift_x[f,m] drift_y[n,g] diffusion_x[f,m] diffusion_y[n,g] dx dy dt periodic"
       " -> q[n,m]",
       "", "general", lambda s: 102 * s.n * s.m),
)
# fmt: on
OPS = {op.name: op for op in CONTRACT}
