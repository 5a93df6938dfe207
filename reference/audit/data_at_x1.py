"""Functions of x_0 and x_1: which of both is the data?

Texts of flow matching write x_t = (1 - t) x_0 + t x_1.  In some x_1 is the data and x_0 the noise,
in others the reverse.  ``marginal`` decides, and without it the time at which ``sample`` begins:
there x is nearly all noise.
"""

import numpy as np

from reference.audit.checks.trajectories import Sampler
from reference.audit.levels import noising_coefficients
from reference.audit.tables import read_table
from reference.audit.target import TargetError

PIECES = ("add_noise", "loss", "velocity")


def names_x1(target, piece):
    """Does a piece call its second array x_1, and so its first x_0?"""
    names = (target.named(piece) or {}) if piece in target else {}
    return names.get("noise", "").lower() in ("x1", "x_1")


def exchange(context, piece, how):
    """Give the data to the parameter x_1 of a piece, and the noise to x_0."""
    target = context.target
    function, names = target.pieces[piece], target.named(piece)

    def exchanged(x0, noise, t, denoise=None):
        given = {"x0": noise, "noise": x0, "t": t, "denoise": denoise}
        return function(**{names[name]: value for name, value in given.items() if name in names})

    target.pieces[piece] = exchanged
    context.report_convention(f"arguments of {piece}", "x_1 is the data", "x_0 is the data", how)


def exchange_by_sample(context):
    """Where neither a table nor ``marginal`` tells it, x_1 is the data if x_0 is left alone at the
    first time of ``sample``.
    """
    target = context.target
    pieces = [piece for piece in PIECES if names_x1(target, piece)]
    if not pieces or "sample" not in target or "marginal" in target:
        return
    try:
        if read_table(target) is not None:
            return
        first = Sampler(target).first_time(context.steps)
        of_x0, of_x1 = np.abs(noising_coefficients(target, first))
    except TargetError:
        return
    if of_x0 > of_x1:
        for piece in pieces:
            exchange(context, piece, f"sample begins at t = {first:g}")
