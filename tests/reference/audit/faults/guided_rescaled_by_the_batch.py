"""The norm of the guided prediction is restored with the deviation of the whole batch.

Guidance rescale (Lin et al. 2024) is for each sample. Over the batch a result depends on the batch, as in huggingface/diffusers#6222.
"""

CAUGHT_BY = "guidance by sample"


def guided(conditional, unconditional, weight):
    mixed = unconditional + weight * (conditional - unconditional)
    return mixed * conditional.std() / mixed.std()
