"""The ops of the contract on CUDA devices: arrays and products of matrices by CuPy, all else in kernels of Numba's."""

from accelerated.gpu.activation import silu, silu_backward, silu_second, softmax, softmax_backward
from accelerated.gpu.conv import conv2d, conv2d_backward
from accelerated.gpu.device import missing, to_device, to_host
from accelerated.gpu.embedding import embedding, embedding_backward, timestep_embedding
from accelerated.gpu.kernel import set_block
from accelerated.gpu.linear import linear, linear_backward
from accelerated.gpu.resample import (
    average_pool,
    average_pool_backward,
    concat,
    concat_backward,
    upsample_nearest,
    upsample_nearest_backward,
)
from reference.ops.random import Key, Purpose
