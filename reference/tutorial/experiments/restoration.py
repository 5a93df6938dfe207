"""Restoration with exact priors: which samplers of p(x_0 | y), y = A x_0 + s_y n, are calibrated?

On Gaussians the law of the samples of each linear sampler has no Monte Carlo error
(restoration_gaussians.py).  On mixtures the samples are compared with the exact posterior
(restoration_mixtures.py).  Images have a learned prior (restoration_images.py).
"""

from reference import ops as reference_ops
from reference.plotting import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PATH_COLORS,
    PURPLE,
    SKY,
    VERMILION,
    subplots,
)
from reference.tutorial.experiments import (
    Outcome,
    restoration_gaussians,
    restoration_images,
    restoration_mixtures,
)
from reference.tutorial.experiments.posterior_calibration import COVERAGE, SAMPLES
from reference.tutorial.experiments.restoration_gaussians import CASES, STEPS
from reference.tutorial.experiments.restoration_methods import (
    DDRM,
    DIFFPIR,
    DMPS,
    DPS,
    EXACT,
    EXACT_ODE,
    HIGH,
    LIKELIHOOD,
    PIGDM,
    WIDE_DIFFPIR,
)
from reference.tutorial.experiments.restoration_mixtures import (
    APPROXIMATE,
    DIRECT,
    HEUN,
    NOISES,
    extremes,
)

QUESTION = "Which samplers draw from the posterior of a noisy measurement?"
# steps; noises; dimension -> measurements
FULL = 100, NOISES, {2: 200, 16: 100, 64: 50}
QUICK = 50, (0.1,), {2: 100, 16: 50, 64: 20}
PICTURED = 16, 0.1  # dimension and noise of the pictured coverage
INTERVALS = f"intervals of {100 * COVERAGE:.0f} %"
DIVERGED = 100.0  # variance / exact, above which a law is not drawn
STYLES = {  # of the linear samplers: colour, marker, width; PiGDM lies on the exact sampler
    EXACT: (SKY, "o", 6),
    EXACT_ODE: (BLUE, "s", 1.5),
    PIGDM: (BLACK, "x", 1.5),
    DPS: (VERMILION, "D", 1.5),
    LIKELIHOOD: (ORANGE, "*", 1.5),
    DMPS: (GREY, "p", 1.5),
    DDRM: (GREEN, "v", 1.5),
    WIDE_DIFFPIR: (PURPLE, "^", 1.5),
    DIFFPIR: (PURPLE, "<", 1.5),
}


def run(quick=False, ops=reference_ops):
    N, noises, sizes = QUICK if quick else FULL
    outcome = Outcome(
        settings={
            "steps on Gaussians": STEPS,
            "s, s_y": CASES,
            "high sigma": HIGH,
            "steps on mixtures": N,
            "levels of Heun's method": restoration_mixtures.HEUN_LEVELS,
            "noises on mixtures": noises,
            "measurements in d dimensions": sizes,
            "samples of a measurement": SAMPLES,
            "seed": restoration_mixtures.SEED,
        }
    )
    laws = restoration_gaussians.laws(outcome)
    found = restoration_mixtures.calibrations(outcome, sizes, noises, N, ops)
    outcome.findings += [
        "On N(0, 1) PiGDM is the exact sampler: its variance tends to the posterior's as 1 / N.",
        "More steps do not calibrate the others: DPS (squared norm) and DDRM become ever narrower"
        " about y / s, the estimate without a prior, and DiffPIR with λ 1, ζ 1 tends to half of the"
        " variance.",
        *(sentence(found, method) for method in (HEUN, *APPROXIMATE)),
        beside_exact(found),
        "The steps of DPS, paper and code, do not shrink with the residual r = y - A x. If r is"
        " small, they alternate about 0 and leave ‖r‖ near ζ s^2 (code: half), whatever s_y is.",
    ]
    images = restoration_images.images(outcome, quick, ops)
    outcome.figure = figure(laws, found, images)
    return outcome


def sentence(found, method):
    """How far a method is calibrated on mixtures."""
    ranges = [
        "{:.2f} to {:.2f}".format(*extremes(found, method, name))
        for name in ("coverage", "variance", "chi2")
    ]
    return (
        f"Mixtures, {method}: {INTERVALS} cover {ranges[0]}, variance / exact"
        f" {ranges[1]}, residual chi^2 / m {ranges[2]}."
    )


def beside_exact(found):
    """PiGDM and the exact sampler with the same steps."""
    coverage = {key: values["coverage"][0] for key, values in found.items()}
    gaps = [
        abs(value - coverage[*problem, EXACT])
        for (*problem, method), value in coverage.items()
        if method == PIGDM
    ]
    return (
        "Mixtures: the coverage of PiGDM differs from that of the exact score in as many steps by"
        f" {max(gaps):.2f} at most."
    )


def figure(laws, found, images=None):
    """Variance and gain of linear samplers over the number of steps, and coverage on a mixture; and
    below, if there are ``images``, the row of restoration_images.py.
    """
    rows = 1 if images is None else 2
    drawing, axes = subplots(rows, 3, 18, 5.5 * rows, QUESTION)
    draw_laws(axes[0], laws)
    draw_coverage(axes[0, 2], found)
    if images is not None:
        restoration_images.draw(axes[1], images)
    return drawing


def draw_laws(panels, laws):
    """Numbers of steps for which a sampler diverges are left out, and named in the legend."""
    s, noise = CASES[0]
    variance, gain = panels[:2]
    for name, (color, mark, width) in STYLES.items():
        points = [point for point in zip(STEPS, *laws[name, s, noise]) if point[2] < DIVERGED]
        steps, gains, variances = zip(*points)
        diverged = [str(N) for N in STEPS if N not in steps]
        label = f"{name}, diverges at {', '.join(diverged)}" if diverged else name
        style = {"color": color, "marker": mark, "linewidth": width, "label": label}
        variance.loglog(steps, variances, **style)
        gain.semilogx(steps, gains, **style)
    for axes, title in ((variance, "variance"), (gain, "mean")):
        axes.axhline(1, color=GREY, linestyle=":", label="exact posterior")
        axes.set_xticks(STEPS, map(str, STEPS))
        axes.minorticks_off()
        axes.set(xlabel="number of steps N", ylabel=f"{title} of the samples / exact")
        axes.set_title(f"y = x_0 + {noise} n, x_0 and n ~ N(0, 1): {title}")
    variance.set_ylim(bottom=variance.get_ylim()[0] / 40)
    variance.legend(fontsize=8, loc="lower left", ncols=2)


def draw_coverage(axes, found):
    d, noise = PICTURED
    methods = (DIRECT, HEUN, *APPROXIMATE)
    titles = dict.fromkeys(key[1] for key in found)
    for k, (title, color, mark) in enumerate(zip(titles, PATH_COLORS, "os^D")):
        values, errors = zip(*(found[d, title, noise, method]["coverage"] for method in methods))
        heights = [-i - (k - 1.5) / 6 for i in range(len(methods))]
        axes.errorbar(
            values, heights, xerr=errors, fmt=mark, color=color, label=title, markersize=5
        )
    axes.axvline(COVERAGE, color=GREY, linestyle="--", label="exact posterior")
    axes.set_yticks([-i for i in range(len(methods))], methods)
    axes.set(
        xlabel=f"coverage of {INTERVALS} ± standard error",
        ylabel="sampler",
        title=f"mixture in {d} dimensions, s_y = {noise}",
    )
    axes.legend(fontsize=8, loc="lower left")
