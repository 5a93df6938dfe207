"""The ops of the contract in Numba.

A process that has called an op must not be forked: Numba's OpenMP threads would end the child at its first op.  Start processes by
``spawn`` instead.

Importing this package changes three things for the whole process:

- Memory.  It calls glibc's ``mallopt`` so that freed blocks below 256 MB stay in the process instead of returning to the system.  Otherwise
  a fifth of a training step goes into clearing pages again (memory.py).  To prevent it, set MALLOC_TRIM_THRESHOLD_ or
  MALLOC_MMAP_THRESHOLD_ in the environment, for example to glibc's default, 131072.
- Threads.  It starts Numba's threads with GOMP_SPINCOUNT=10000: an idle thread then sleeps after some ten microseconds instead of
  milliseconds (kernel.py).  The variable is removed from the environment again.  To prevent it, set GOMP_SPINCOUNT or OMP_WAIT_POLICY.
- BLAS.  Its parent package sets OPENBLAS_THREAD_TIMEOUT unless it is set; see accelerated/__init__.py.

The first call of an op compiles its kernels and caches them: below NUMBA_CACHE_DIR if that is set (kernel.py, ``cache_folder``).
"""

from accelerated.cpu import memory
from accelerated.cpu.activation import silu, silu_backward, silu_second, softmax
from accelerated.cpu.attention import attention, attention_backward
from accelerated.cpu.conv import conv2d, conv2d_backward
from accelerated.cpu.diffusion import add_noise, reverse_step
from accelerated.cpu.embedding import embedding, embedding_backward, timestep_embedding
from accelerated.cpu.fokker_planck import fokker_planck_step, fokker_planck_step_2d
from accelerated.cpu.kernel import environment, set_threads, threads
from accelerated.cpu.linear import linear, linear_backward
from accelerated.cpu.loss import cross_entropy, cross_entropy_backward, gaussian_kl, gaussian_kl_backward, mse, mse_backward
from accelerated.cpu.mixture import mixture_log_density, mixture_score
from accelerated.cpu.norm import group_norm, group_norm_backward, group_norm_silu, group_norm_silu_backward
from accelerated.cpu.optimizer import adam_step_, ema_step_, global_norm
from accelerated.cpu.precompile import compile_all
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

memory.retain_freed_memory()
