"""The ops of the contract in Numba.

A process that has used them must not be forked: Numba's OpenMP threads end the child with its first op.  ``spawn`` starts one that works.
"""

from accelerated.cpu import memory
from accelerated.cpu.activation import silu, silu_backward, silu_second, softmax, softmax_backward
from accelerated.cpu.ahead import compile_all
from accelerated.cpu.attention import attention, attention_backward
from accelerated.cpu.conv import conv2d, conv2d_backward
from accelerated.cpu.diffusion import add_noise, reverse_step
from accelerated.cpu.embedding import embedding, embedding_backward, timestep_embedding
from accelerated.cpu.fokker_planck import fokker_planck_step, fokker_planck_step_2d
from accelerated.cpu.kernel import environment, set_threads, threads
from accelerated.cpu.linear import linear, linear_backward
from accelerated.cpu.loss import gaussian_kl, gaussian_kl_backward, mse, mse_backward
from accelerated.cpu.mixture import mixture_log_density, mixture_score
from accelerated.cpu.norm import group_norm, group_norm_backward, group_norm_silu, group_norm_silu_backward
from accelerated.cpu.optimizer import adam_step_, ema_step_, global_norm
from accelerated.cpu.random import normal, philox_bits, uniform
from accelerated.cpu.resample import (
    average_pool,
    average_pool_backward,
    concat,
    concat_backward,
    upsample_nearest,
    upsample_nearest_backward,
)
from reference.ops.random import Key, Purpose

memory.keep()
