"""The ops of the contract on CUDA devices: arrays and products of matrices by CuPy, all else in kernels of Numba's."""

from accelerated.gpu.activation import silu, silu_backward, silu_second, softmax, softmax_backward
from accelerated.gpu.attention import attention, attention_backward
from accelerated.gpu.device import missing, to_device, to_host
from accelerated.gpu.kernel import set_block
from accelerated.gpu.linear import linear, linear_backward
from accelerated.gpu.loss import gaussian_kl, gaussian_kl_backward, mse, mse_backward
from accelerated.gpu.norm import group_norm, group_norm_backward, group_norm_silu, group_norm_silu_backward
from accelerated.gpu.optimizer import adam_step_, ema_step_, global_norm
from reference.ops.random import Key, Purpose
