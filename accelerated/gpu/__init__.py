"""The ops of the contract on CUDA devices: CuPy holds the arrays, cuBLAS multiplies matrices, Numba compiles all other kernels."""

from accelerated.gpu.activation import silu, silu_backward, silu_second, softmax
from accelerated.gpu.attention import attention, attention_backward
from accelerated.gpu.conv import conv2d, conv2d_backward
from accelerated.gpu.device import choose_device, missing, synchronize, to_device, to_host
from accelerated.gpu.diffusion import add_noise, reverse_step
from accelerated.gpu.embedding import embedding, embedding_backward, timestep_embedding
from accelerated.gpu.fokker_planck import fokker_planck_step, fokker_planck_step_2d
from accelerated.gpu.kernel import set_block_size
from accelerated.gpu.linear import linear, linear_backward
from accelerated.gpu.loss import cross_entropy, cross_entropy_backward, gaussian_kl, gaussian_kl_backward, mse, mse_backward
from accelerated.gpu.mixture import mixture_log_density, mixture_score
from accelerated.gpu.models import prepare
from accelerated.gpu.norm import group_norm, group_norm_backward, group_norm_silu, group_norm_silu_backward
from accelerated.gpu.optimizer import adam_step_, ema_step_, global_norm
from accelerated.gpu.random import normal, philox_bits, uniform
from accelerated.gpu.resample import (
    average_pool,
    average_pool_backward,
    concat,
    concat_backward,
    upsample_nearest,
    upsample_nearest_backward,
)
from reference.ops.random import Key, Purpose
