"""Checks of a call of ``step``: samples by themselves, clipping, floating-point types."""

import numpy as np

from reference.audit.checks.noising import tolerance_of_type
from reference.audit.levels import PREDICTIONS
from reference.audit.target import TargetError


def recognise_clipping(context, steps, prediction, lost):
    """Does the step keep x_0 within a range?  With the exact prediction of x_0 = 3.  ``lost``: its
    mean is wrong.
    """
    step = steps[len(steps) // 2]
    target, shape = context.target, (1, *context.target.shape)
    r0, _ = PREDICTIONS[prediction](step.alpha, step.sigma)
    full = lambda value: np.full(shape, value, target.dtype)
    try:
        came = target.call(
            "step",
            shape,
            prediction=full(3 * r0),
            t=step.t,
            x=full(3 * step.alpha),
            noise=full(0),
            t_prev=step.t_prev,
        ).flat[0]
    except TargetError:
        return
    A0, _ = step.means(prediction)
    # c_p may be small: x_0 has little weight in a step between neighbours
    clipped = abs(came - 3 * A0) > 3 * step.tolerance(prediction) + 1e-6
    context.report_convention(
        "clipping in step",
        "yes" if clipped else "none",
        "by option",
        f"a step with x_0 = 3 gives {came:.4g}, linear is {3 * A0:.4g}",
    )
    context.known["clipping"] = clipped
    if clipped and not lost:
        # much noise in the result, and a prediction that rounding leaves some digits
        size = lambda step: abs(step.means(prediction)[1]) * step.alpha
        _check_clipping(context, max(steps, key=size), prediction)


def _check_clipping(context, step, prediction):
    """x_0 = 0.5 is within every range, so that a step of it is linear however large the noise."""
    target, shape = context.target, (1, *context.target.shape)
    (A0, A1), (r0, r1) = step.means(prediction), PREDICTIONS[prediction](step.alpha, step.sigma)
    full = lambda value: np.full(shape, value, target.dtype)
    came = target.call(
        "step",
        shape,
        prediction=full(0.5 * r0 + 3 * r1),
        t=step.t,
        x=full(0.5 * step.alpha + 3 * step.sigma),
        noise=full(0),
        t_prev=step.t_prev,
    ).flat[0]
    wanted = 0.5 * A0 + 3 * A1
    wrong = abs(came - wanted) > 4 * step.tolerance(prediction) + 1e-6
    context.add(
        "clipping in step",
        "fault" if wrong else "right",
        "a step of x_0 = 0.5 and eps = 3 is linear: x_0 is clipped, and x_prev is not",
        f"{wanted:.6g} from t = {step.t:g} to {step.t_prev:g}",
        f"{came:.6g}" if wrong else "",
        "the noise of x is cut off, and the network sees x of no level" if wrong else "",
    )


def check_by_sample(context, step):
    target = context.target
    rng = np.random.default_rng(0)
    small = 0.001 * max(step.alpha, 1e-3)
    draw = lambda size: (size * rng.standard_normal((3, *target.shape))).astype(target.dtype)
    prediction, x, noise = draw(small), draw(small), draw(1.0)
    call = lambda p, x, z: target.call(
        "step", x.shape, prediction=p, t=step.t, x=x, noise=z, t_prev=step.t_prev
    )
    batch, single = call(prediction, x, noise), call(prediction[:1], x[:1], noise[:1])
    bound = 64 * step.epsilon * (1 + abs(step.B) * 5) + tolerance_of_type(target)
    own = np.abs(batch[:1] - single).max() <= bound
    if context.known.get("clipping"):  # a range may be that of the batch
        p, y = (draw(1.0) for _ in range(2))
        large, alone = call(p, y, 0 * noise), call(p[:1], y[:1], 0 * noise[:1])
        rounding = bound * (1 + abs(step.c_p) + abs(step.c_x)) * max(1.0, np.abs(large).max())
        own = own and np.abs(large[:1] - alone).max() <= rounding
    if step.B:
        signed = call(prediction, x, 0 * noise)
        linear_noise = np.abs(np.abs(batch - signed) - step.B * np.abs(noise)).max() <= bound
    else:
        linear_noise = True
    came = "" if linear_noise else "the noise that is given is not the noise that is added"
    came = came if own else "other samples of the batch change it"
    context.add(
        "step by sample",
        "right" if own and linear_noise else "fault",
        "a sample depends on its own x, prediction and noise alone",
        "",
        came,
        "samples depend on the batch, and results can't be reproduced",
    )


def check_types(context, pairs):
    """No NaN at both ends, in each floating-point type."""
    target, failed = context.target, []
    for kind in ("float16", "float32", "float64"):
        for t, t_prev in (pairs[0], pairs[-1]):
            one = np.full((1, *target.shape), 0.5, kind)
            try:
                came = target.call(
                    "step", one.shape, prediction=one, t=t, x=one, noise=one, t_prev=t_prev
                )
            except TargetError:
                continue
            if not np.isfinite(came.astype(np.float64)).all():
                failed.append(f"{kind} from t = {t:g} to {t_prev:g}")
    context.add(
        "step in float16, float32, float64",
        "fault" if failed else "right",
        "x_prev is finite at both ends",
        "",
        f"not finite in {', '.join(failed)}" if failed else "",
        "sampling ends in NaN",
    )
