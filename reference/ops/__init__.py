"""The ops of the contract (reference/conformance/contract.py), each on NumPy arrays: the oracle
that every port is held against.

What holds of all of them, and is tested of all of them:

- float32 in, float32 out; float64 in, float64 out.  Lists, integers where floats belong and mixed
  dtypes are a TypeError, whatever does not fit a ValueError, and the message names the argument.
  An empty batch is a ValueError for losses and an empty result elsewhere.
- Arguments are never changed, but for those of ops whose name ends in ``_``.  Results are new
  memory, or ``out=``.
- A backward returns the gradients of the array arguments in their order: for every direction v and
  upstream gradient dy, <dy, derivative of the op along v> = <its gradient, v>.
- A sample's result does not depend on the other samples of its batch, beyond the rounding of matrix
  products.
"""

from reference.ops.activation import silu, silu_backward, silu_second, softmax, softmax_backward
from reference.ops.attention import attention, attention_backward
from reference.ops.conv import conv2d, conv2d_backward
from reference.ops.diffusion import add_noise, reverse_step
from reference.ops.embedding import embedding, embedding_backward, timestep_embedding
from reference.ops.fokker_planck import fokker_planck_step, fokker_planck_step_2d
from reference.ops.linear import linear, linear_backward
from reference.ops.loss import gaussian_kl, gaussian_kl_backward, mse, mse_backward
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
