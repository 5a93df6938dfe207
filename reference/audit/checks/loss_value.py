"""The weights of a loss, and the value that it has for a right model.

For data N(0, I) the exact denoiser's error of a prediction r0 x_0 + r1 eps has the variance

    s^2 = D^2 / (alpha^2 + sigma^2),   D = alpha r1 - sigma r0,

and the output 0 the error's variance r0^2 + r1^2.  An error d of the prediction is an error
-sigma d / D of x_0.  So w on the prediction is w (D / sigma)^2 on x_0.
"""

import numpy as np

from reference.audit.checks import loss_probes as probes

MOST_TIMES = 250
ROOT_2_OVER_PI = (2 / np.pi) ** 0.5


def spread(levels, count=MOST_TIMES):
    """Training times in the middle of equal parts, as numbers of the kind that a target takes."""
    n = len(levels.times)
    count = min(count, n)
    chosen = ((np.arange(count) + 0.5) * n / count).astype(int)
    return [levels.times[i].item() for i in chosen]


def determinant(row, alpha, sigma):
    return alpha * row[1] - sigma * row[0]


def report_weight(context, levels, draws, row, shape):
    """(times, w on the prediction for an error of 1), with its name as a convention."""
    target = context.target
    times = spread(levels)
    w = np.array([probes.weight(target, draws, t, row(*levels.at(t)), shape.power) for t in times])
    pairs = np.array([levels.at(t) for t in times])
    name, factor = _name(levels, w, pairs, row, shape.power)
    context.recognise(
        "loss weight",
        name + ("" if abs(factor - 1) < 1e-3 else f", times {factor:.4g}"),
        "1 on the prediction",
        "outputs with known errors at all levels",
    )
    return times, w


def _name(levels, w, pairs, row, power):
    """(the weight by name, its factor): the first known function of t in a constant ratio to w."""
    alpha, sigma = pairs.T
    snr = (alpha / sigma) ** 2
    D = np.array([determinant(row(a, s), a, s) for a, s in pairs])
    on_x0 = w * np.abs(D / sigma) ** power
    top = float(np.max(on_x0 / (on_x0 / snr)[-1])) if power == 2 and snr[-1] > 0 else np.nan
    # 1 + s^2 SNR, from its first and last value
    first, last = on_x0[0], on_x0[-1]
    squared = (first - last) / (last * snr[0] - first * snr[-1])
    edm = float(np.sqrt(squared)) if squared > 0 else np.nan
    known = [
        ("1 on the prediction", w, np.ones_like(w)),
        ("1 on x_0", on_x0, np.ones_like(w)),
        ("SNR on x_0, 1 on the noise", on_x0, snr),
        (f"min(SNR, {top:.4g}) on x_0 (min-SNR)", on_x0, np.minimum(snr, top)),
        ("max(SNR, 1) on x_0", on_x0, np.maximum(snr, 1)),
        (_edm_name(edm), on_x0, 1 + edm**2 * snr),
        ("sigma^2 on the prediction", w, sigma**2),
        ("1 / sigma^2 on the prediction", w, sigma**-2.0),
        ("1 / sigma^2 on x_0", on_x0, sigma**-2.0),
        ("1 / sigma^4 on x_0, 1 on the score", on_x0, sigma**-4.0 * alpha**2),
    ]
    if power == 1:
        known = known[:2]
    for name, came, wanted in known:
        with np.errstate(all="ignore"):
            quotient = came / wanted
        centre = np.median(quotient)
        # 1 - alpha_bar has a relative error epsilon / sigma^2; known weights differ by over 1 %
        slack = np.minimum(5e-3, 1e-6 + 64 * levels.epsilon * (1 + sigma**-2.0))
        if (np.abs(quotient / centre - 1) <= np.maximum(slack, 1e-4)).all():
            return name, float(centre)
    return f"no known function of t, {w[0]:.4g} to {w[-1]:.4g} on the prediction", 1.0


def _edm_name(s):
    if abs(s - 1) < 1e-3:
        return "1 + SNR on x_0, 1 on v"
    return f"(sigma^2 + s^2) / (sigma s)^2 on x_0 with s = {s:.4g} (EDM)"


def report_value(context, levels, row, shape, weights):
    """What the loss is for a right model: of data N(0, I), by level and in the mean."""
    times, w = weights
    pairs = [levels.at(t) for t in times]
    rows = [row(*pair) for pair in pairs]
    exact = np.array([abs(determinant(r, *p)) / np.hypot(*p) for r, p in zip(rows, pairs)])
    nothing = np.array([np.hypot(*r) for r in rows])
    if (shape.power, shape.far) == (2, 2):
        mean_of = lambda s: w * s**2
    elif (shape.power, shape.far) == (1, 1) and shape.name == "absolute error":
        mean_of = lambda s: w * s * ROOT_2_OVER_PI
    else:
        context.add("loss value", "not decidable", came=f"no closed form for {shape.name}")
        return
    # w was measured with an error in all entries: a sum over them is in w already
    floor, zero = mean_of(exact), mean_of(nothing)
    share = floor / floor.sum() if floor.sum() > 0 else floor
    top = int(np.argmax(zero))
    first = max(1, len(times) // 100)
    part = 100 * zero[:first].sum() / zero.sum()
    mostly = f"the least noisy 1 % of times make {part:.3g} % of the latter"
    context.add(
        "loss value",
        "right",
        "for data N(0, I) the exact denoiser's error has variance D^2 / (alpha^2 + sigma^2)",
        "",
        f"{floor.mean():.6g} for the exact denoiser of data N(0, I), {zero.mean():.6g} for the"
        f" output 0, in the mean over t; real data with structure: less than the first; {mostly}",
        "",
        details=[
            {
                "t": times[i],
                "weight": float(w[i]),
                "exact denoiser": float(floor[i]),
                "output 0": float(zero[i]),
                "share of the exact loss": float(share[i]),
            }
            for i in sorted({*np.linspace(0, len(times) - 1, 11).astype(int).tolist(), top})
        ],
    )
