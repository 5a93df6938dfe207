"""The ops of the contract in Numba, as many as are here already."""

from accelerated.cpu.activation import silu, silu_backward
from accelerated.cpu.diffusion import add_noise, reverse_step
from accelerated.cpu.embedding import embedding, embedding_backward, timestep_embedding
from accelerated.cpu.fokker_planck import fokker_planck_step, fokker_planck_step_2d
from accelerated.cpu.mixture import mixture_log_density, mixture_score
from accelerated.cpu.random import normal, philox_bits, uniform
from reference.ops.random import Key, Purpose
