"""The ops of the contract (reference/conformance/contract.py) on NumPy arrays.  Every port is
compared with them.

These properties hold for all ops, and tests check them:

- float32 in, float32 out; float64 in, float64 out.  Lists, integers in place of floats and mixed
  dtypes raise TypeError; wrong shapes and values raise ValueError.  The message names the argument.
  For an empty batch a loss raises ValueError, every other op returns an empty result.
- An op never changes its arguments, unless its name ends in ``_``.  Results are in new memory, or
  in ``out=``.
- A backward op returns the gradients of the array arguments in their order.  For every direction v
  and gradient dy at the result, <dy, derivative of the op along v> = <gradient, v>.
- The result of a sample does not depend on the other samples of its batch, except by the rounding
  of matrix products.
"""

from reference.ops.activation import silu, silu_backward, silu_second, softmax
from reference.ops.attention import attention, attention_backward
from reference.ops.conv import conv2d, conv2d_backward
from reference.ops.diffusion import add_noise, reverse_step
from reference.ops.embedding import embedding, embedding_backward, timestep_embedding
from reference.ops.fokker_planck import fokker_planck_step, fokker_planck_step_2d
from reference.ops.linear import linear, linear_backward
from reference.ops.loss import (
    cross_entropy,
    cross_entropy_backward,
    gaussian_kl,
    gaussian_kl_backward,
    mse,
    mse_backward,
)
from reference.ops.mixture import mixture_log_density, mixture_score
from reference.ops.norm import (
    group_norm,
    group_norm_backward,
    group_norm_silu,
    group_norm_silu_backward,
)
from reference.ops.optimizer import adam_step_, ema_step_, global_norm
from reference.ops.random import Key, Purpose, normal, philox_bits, uniform
from reference.ops.resample import (
    average_pool,
    average_pool_backward,
    concat,
    concat_backward,
    upsample_nearest,
    upsample_nearest_backward,
)
