"""The noise and the law of a stochastic sampler, by many samples.

For a point mass at 0, x at every evaluation is noise of variance sigma(t)^2 if each step preserves
the marginals of the forward process: the ancestral step, DDIM with every eta, churn, Langevin
correctors.  DDPM's other choice, sqrt(beta), adds more: with r = alpha_t / alpha_s,

    V_s = (r sigma_s^2 / sigma_t^2)^2 V_t + sigma_t^2 - r^2 sigma_s^2.

N samples of N(0, V) have a sum of squares V chi^2_N and a mean N(0, V/N).  Every check is wrong
about a right sampler with a probability of at most 1e-6, shared among all its comparisons.
"""

from itertools import pairwise

import numpy as np
from scipy import stats

from reference.audit.checks.trajectories import FEWER_ENTRIES, Gaussian, respond, start_noise

FALSE_ALARMS = 1e-6
LAW = Gaussian(0.25, 0.04)


def p_values(entries, variance, mean=0.0):
    """Two-sided p-values of the sum of squares and of the mean, for N(mean, variance): [2]."""
    entries = np.ravel(entries) - mean
    N, total = entries.size, float(np.sum(entries**2)) / variance
    tails = min(stats.chi2.cdf(total, N), stats.chi2.sf(total, N))
    far = abs(float(entries.mean())) / np.sqrt(variance / N)
    return np.array([min(1.0, 2 * tails), 2 * stats.norm.sf(far)])


def agrees(samples, variances, mean=0.0, slack=0.0):
    """Do rows of samples have these variances and the mean?  ``slack``: the relative error of a
    variance that rounding explains; rows of variance 0 must be 0 to rounding.
    """
    level = FALSE_ALARMS / (2 * len(samples))
    for row, variance in zip(samples, variances):
        if variance <= 0 or slack >= 1:
            continue
        came = float(np.mean((np.ravel(row) - mean) ** 2))
        near = np.clip(came, variance * (1 - slack), variance * (1 + slack))
        scaled = mean + (np.ravel(row) - mean) * np.sqrt(variance / near)
        if not (p_values(scaled, variance, mean) > level).all():
            return False
    return True


def draws(sampler, law, steps, seed=17):
    """A trajectory of about ``sampler.entries`` entries in all."""
    shape = sampler.target.shape
    entries = sampler.entries * 60 // max(60, int(steps * sampler.rate))
    count = max(16, max(FEWER_ENTRIES // 2, entries) // int(np.prod(shape)))
    z = start_noise(seed, (count, *shape))
    return sampler.run(law, z, steps, seed)


def check_law(context, sampler, rate, verdict):
    """The noise of every step, then the law of the samples.  ``rate``: evaluations a step."""
    kind = _check_noise(context, sampler, rate, verdict)
    if kind in ("fault", "langevin"):
        why = (
            "the noise"
            if kind == "fault"
            else "its step sizes decide how near to the data it comes"
        )
        context.add(
            "sample law", "not decidable", "", "", f"because of {why}" if kind == "fault" else why
        )
        return
    _check_samples(context, sampler, kind)


def large_variances(level):
    """V along the trajectory with the variance beta, from V = sigma^2 at its start; level[k,2]."""
    V = [level[0, 1] ** 2]
    for (alpha, sigma), (alpha_s, sigma_s) in pairwise(level):
        r = alpha / alpha_s
        shrink = r * sigma_s**2 / sigma**2
        V.append(shrink**2 * V[-1] + sigma**2 - r**2 * sigma_s**2)
    return np.array(V)


def _check_noise(context, sampler, rate, verdict):
    """Returns the kind of noise: "marginals", "beta", "between", "langevin", "first order" or
    "fault"."""
    run = draws(sampler, Gaussian(), context.steps)
    level = np.array([sampler.at(t) for t in run.times])
    came = (run.x**2).reshape(len(run.x), -1).mean(axis=1)
    kind, text = _kind_of_noise(context, sampler, run, level, came, rate, verdict)
    verdicts = {"marginals": "right", "fault": "fault"}
    context.add(
        "sample noise",
        verdicts.get(kind, "convention"),
        "Var x = sigma(t)^2 at each evaluation, for data 0, by fresh noise at each step",
        f"within chi^2 and normal quantiles of {run.x[0].size} entries,"
        f" false alarms {FALSE_ALARMS:g}",
        text,
        "samples are blurred or grainy: the network sees another amount of noise than it is told",
        details=[
            {"evaluation": k + 1, "t": float(t), "expected": float(sigma**2), "came": float(value)}
            for k, (t, sigma, value) in enumerate(zip(run.times, level[:, 1], came))
        ],
    )
    return kind


def _kind_of_noise(context, sampler, run, level, came, rate, verdict):
    """(kind, sentence)."""
    marginal, slack = level[:, 1] ** 2, 64 * sampler.unit
    if shared := _shared_noise(run, rate):
        return "fault", shared
    if verdict == "exact" and agrees(run.x, marginal, slack=slack):
        return "marginals", "the marginals of the forward process"
    distinct = bool(np.all(np.diff(run.times) != 0))
    if verdict == "exact" and distinct and agrees(run.x, large_variances(level), slack=slack):
        return "beta", "the variance beta of DDPM, larger than the posterior's"
    if verdict == "exact" and _is_langevin(run, level):
        return "langevin", "Langevin steps at each level: Q = 1 - eps / sigma^2, B^2 = 2 eps"
    between = sampler.fixed or "between" in context.known.get("variance", "")
    if between and verdict == "exact" and distinct and _between(run, level, slack):
        return "between", "variances between the posterior's and beta"
    worst = int(np.argmax(np.abs(came - marginal)))
    text = (
        f"{came[worst]:.4g} in place of {marginal[worst]:.4g} at evaluation {worst + 1},"
        f" t = {run.times[worst]:.6g}"
    )
    if sampler.fixed:
        return _fixed_kind(run, level, came, text)
    steps = min(4 * context.steps, sampler.limit)
    if steps == context.steps:
        return "fault", text
    finer = draws(sampler, Gaussian(), steps)
    first, after = _errors(sampler, run), _errors(sampler, finer)
    # errors of order 1/2 and higher fall to half and less; the rest is the quantile of chi^2_N
    noise = stats.norm.isf(FALSE_ALARMS / 2) * np.sqrt(2 / finer.result.size)
    if (after > 0.6 * first + noise).any():
        return "fault", text
    return "first order", (
        f"to first order: off by {first[1]:.2g} at {context.steps} steps, {after[1]:.2g} at {steps}"
    )


def _between(run, level, slack):
    """Do all variances lie between those of the posterior's and of beta, up to the quantiles of
    chi^2_N?
    """
    low, high = level[:, 1] ** 2, large_variances(level)
    came = (run.x**2).reshape(len(run.x), -1).mean(axis=1)
    near = np.clip(came, np.minimum(low, high), np.maximum(low, high))
    return agrees(run.x, near, slack=slack)


def _fixed_kind(run, level, came, text):
    """For a sampler whose steps can't be made shorter: is the error that of Euler and Maruyama?

    A step of length h in log(sigma / alpha) adds an error of at most 2 h^2 max(1, sigma^2) to the
    variance (``step_verdicts.is_euler``), and shrinks the former errors as it shrinks x.
    """
    allowed, errors = 0.0, []
    for (alpha, sigma), (alpha_s, sigma_s) in pairwise(level):
        ratio = (sigma / max(alpha, 1e-12)) / max(sigma_s / alpha_s, 1e-12)
        shrink = alpha / alpha_s * (sigma_s / sigma) ** 2
        allowed = shrink**2 * allowed + 2 * np.log(ratio) ** 2 * max(1.0, sigma_s**2)
        errors.append(allowed)
    quantile = stats.norm.isf(FALSE_ALARMS / (2 * len(came))) * np.sqrt(2 / run.x[0].size)
    wanted = level[1:, 1] ** 2
    wrong = np.abs(came[1:] - wanted) > np.array(errors) + quantile * (wanted + np.array(errors))
    return ("fault", text) if wrong.any() else ("first order", "to first order in its steps")


def _is_langevin(run, level):
    """Is every move x' = Q x + B z with B^2 = 2 (1 - Q) sigma^2 at the level of the evaluation?

    Q and B are fitted to N entries; their errors are B / (sigma sqrt(N)) and B^2 sqrt(2 / N).
    """
    rows = run.x.reshape(len(run.x), -1)
    quantile = stats.norm.isf(FALSE_ALARMS / (2 * len(rows)))
    for (before, after), (_, sigma) in zip(pairwise(rows), level):
        square = before @ before
        Q = (before @ after) / square
        B2 = float(np.mean((after - Q * before) ** 2))
        error = B2 * np.sqrt(2 / before.size) + 2 * sigma**2 * np.sqrt(B2 / square)
        if abs(B2 - 2 * (1 - Q) * sigma**2) > quantile * error:
            return False
    return True


def _errors(sampler, run):
    """The largest error of the variance, relative to the largest variance; and relative to itself
    where the noise is at least as large as ``LAW``: [2].

    Below that the steps of a grid that is even in t are as long as t itself, and the relative
    error of Euler and Maruyama's method does not fall.
    """
    level = np.array([sampler.at(t) for t in run.times])
    wanted = level[:, 1] ** 2
    error = np.abs((run.x**2).reshape(len(run.x), -1).mean(axis=1) - wanted)
    used = level[:, 1] >= LAW.variance**0.5 * level[:, 0]
    used = used if used.any() else wanted > 0
    return np.array([error.max() / wanted.max(), (error[used] / wanted[used]).max()])


def _shared_noise(run, rate):
    """Are the residuals of two successive steps correlated?  A correlation below 0.1 changes the
    variance of their sum by less than a tenth, and may come from steps that look back.  Noise that
    is used twice makes it positive, a stage that starts again from an earlier x negative.
    """
    rows = run.x.reshape(len(run.x), -1)[::rate]
    residuals = []
    for before, after in pairwise(rows):
        slope = (before @ after) / (before @ before)
        rest = after - slope * before
        residuals.append(rest if rest @ rest > 1e-12 * (after @ after) else None)
    limit = stats.norm.isf(FALSE_ALARMS / (2 * len(rows)))
    for k, (one, two) in enumerate(pairwise(residuals)):
        if one is None or two is None:
            continue
        correlation = (one @ two) / np.sqrt((one @ one) * (two @ two))
        if correlation > max(0.1, limit / np.sqrt(len(one))):
            return f"steps {k + 1} and {k + 2} have noise with a correlation of {correlation:.3g}"
    return ""


def _check_samples(context, sampler, kind):
    """The variance and the mean of samples: those of the recursion, or those of the data for many
    steps.
    """
    equation = "mean and variance of the samples"
    result = draws(sampler, LAW, context.steps).result
    variance = float(np.mean((result - result.mean()) ** 2))
    text = f"mean {result.mean():.4g}, variance {variance:.4g} at {context.steps} steps"
    details = [{"steps": context.steps, "mean": float(result.mean()), "variance": variance}]
    predicted = None
    if kind == "between":
        ends = [recursion(sampler, context.steps, end) for end in ("marginals", "beta")]
        predicted = None if None in ends else float(np.clip(variance, min(ends), max(ends)))
    elif kind in ("marginals", "beta"):
        predicted = recursion(sampler, context.steps, kind)
    if predicted is not None and agrees([result], [predicted], LAW.mean, 64 * sampler.unit):
        context.add(
            "sample law",
            "right",
            equation,
            f"{LAW.mean:g}, {predicted:.4g} by the recursion of its steps",
            text,
            details=details,
        )
        return
    if _forgets(sampler, context.steps):
        why = "each x is a predicted x_0 with fresh noise: for a consistency function, no denoiser"
        context.add("sample law", "not decidable", equation, f"{LAW.mean:g}, {LAW.variance:g}", why)
        return
    if sampler.fixed:
        why = f"{text}; its steps can't be made shorter"
        context.add("sample law", "not decidable", equation, f"{LAW.mean:g}, {LAW.variance:g}", why)
        return
    steps = min(16 * context.steps, sampler.limit)
    finer = draws(sampler, LAW, steps).result
    after = float(np.mean((finer - finer.mean()) ** 2))
    details.append({"steps": steps, "mean": float(finer.mean()), "variance": after})
    quantile = stats.norm.isf(FALSE_ALARMS / 4)
    noise = quantile * np.sqrt(2 / finer.size)
    errors = [abs(value / LAW.variance - 1) for value in (variance, after)]
    shifts = [abs(values.mean() - LAW.mean) / LAW.variance**0.5 for values in (result, finer)]
    wrong = errors[1] > 0.6 * errors[0] + 1.6 * noise * max(1.0, after / LAW.variance)
    moved = shifts[1] > 0.6 * shifts[0] + 1.6 * quantile / np.sqrt(finer.size)
    context.add(
        "sample law",
        "fault" if wrong or moved else "right",
        equation,
        f"{LAW.mean:g}, {LAW.variance:g} for many steps",
        f"{text}; mean {finer.mean():.4g}, variance {after:.4g} at {steps}",
        "samples do not have the data's distribution, with any number of steps",
        details=details,
    )


def _forgets(sampler, steps):
    """Is Q = 0 in every step x' = P x0hat + Q x + B z, as in consistency models (Song et al. 2023)?
    E[x_0 | x] has less variance than the data, and with fresh noise alone it stays so.
    """
    noise = np.abs(respond(sampler, steps).noise)
    return len(noise) > 2 and bool((noise[1:] <= 1e-3 * noise[0]).all())


def recursion(sampler, steps, kind):
    """The variance of samples of data N(m, c), for steps x' = P x0hat + Q x + B z that look at the
    latest prediction alone.  P and Q are known from a point mass, B^2 from the kind of noise.
    """
    response = respond(sampler, steps)
    level, c = response.level, LAW.variance
    if not np.all(np.diff(response.times) != 0):
        return None
    V = level[0, 0] ** 2 * c + level[0, 1] ** 2
    for k in range(len(response.times)):
        (alpha, sigma), (alpha_s, sigma_s) = level[k], level[k + 1]
        Q = response.noise[k + 1] / response.noise[k]
        P = response.signal[k + 1] - Q * response.signal[k]
        if k == len(response.times) - 1:
            B2 = 0.0
        elif kind == "marginals":
            B2 = max(sigma_s**2 - Q**2 * sigma**2, 0.0)
        else:
            B2 = sigma**2 - (alpha / alpha_s) ** 2 * sigma_s**2
        V = (P * alpha * c / (alpha**2 * c + sigma**2) + Q) ** 2 * V + B2
    return float(V)
