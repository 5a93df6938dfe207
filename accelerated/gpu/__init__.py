"""The ops of the contract on CUDA devices: arrays and products of matrices by CuPy, all else in kernels of Numba's."""

from accelerated.gpu.activation import silu, silu_backward, silu_second, softmax, softmax_backward
from accelerated.gpu.device import missing, to_device, to_host
from accelerated.gpu.diffusion import add_noise, reverse_step
from accelerated.gpu.fokker_planck import fokker_planck_step, fokker_planck_step_2d
from accelerated.gpu.kernel import set_block
from accelerated.gpu.linear import linear, linear_backward
from accelerated.gpu.mixture import mixture_log_density, mixture_score
from accelerated.gpu.random import normal, philox_bits, uniform
from reference.ops.random import Key, Purpose
