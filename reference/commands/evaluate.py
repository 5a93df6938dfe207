"""``evaluate RUN``: the loss beside its floor, a bound on the likelihood, and the quality of
samples beside that of real data.
"""

import numpy as np

from reference.commands import evaluation_figures
from reference.commands.sampler_options import (
    add_sampling_options,
    degraded,
    describe,
    draw,
    parse_sampler_options,
)
from reference.data import metrics
from reference.ddpm.ddpm import elbo_terms
from reference.ddpm.indi import path
from reference.ddpm.learned import LearnedVariance
from reference.diffusion.conversions import convert
from reference.diffusion.forward_process import forward
from reference.ops import add_noise
from reference.ops.random import Key, Purpose, normal, uniform
from reference.runs.evaluation import losses_at, mean_square
from reference.runs.run import open_run
from reference.sde.likelihood import bits_per_dimension, dequantise, log_likelihood
from reference.smld.score_matching import rademacher
from reference.smld.smld import floors
from reference.vae.linear import probabilistic_pca

# held-out samples that are looked at; for the losses of points, which cost little, eight times as
# many
LIMIT = 512
DRAWS = 4  # times and noises for each of them
SAMPLES = {"images": 256, "points": 4000}


def add_options(parser):
    add_sampling_options(parser, None)
    parser.add_argument(
        "--out", metavar="FOLDER", help=f"write {', '.join(evaluation_figures.FILES)} there"
    )


def execute(arguments, ops):
    run = open_run(arguments.run)
    folder = evaluation_figures.folder_for(arguments.out)
    how = parse_sampler_options(run, arguments)
    n = (
        (SAMPLES["images"] if run.data.is_image else SAMPLES["points"])
        if arguments.n is None
        else arguments.n
    )
    if n < 2:
        raise ValueError(f"n must be at least 2 to measure a distance, got {n}")
    rows, (x, evaluations) = {"training steps": run.state.step}, draw(run, ops, n, **how)
    if run.system == "vae":
        rows |= bounds(run, ops)
    elif run.system == "indi":
        rows |= restoration(run, ops, x if how["sampler"] == "indi" else None, how)
    else:
        rows |= losses(run, run.data, ops)
        rows |= (
            flow_likelihood(run, ops) if run.system == "sde" else chain_likelihood(run, ops, how)
        )
    rows |= quality(x, run.data)
    width = max(map(len, rows))
    print(
        f"{run.folder}: {run.system} on {run.data.name}, samples by {describe(**how, evaluations=evaluations)}"
    )
    for name, value in rows.items():
        print(f"  {name:{width}}  {value if isinstance(value, int) else format(value, '.5g')}")
    if folder:
        evaluation_figures.write(run, ops, x, rows, {"n": n, **how}, evaluations, folder)
    return 0


def losses(run, data, ops, seed=1):
    """The loss of the averaged weights on held-out data, at fixed times and noises, against what
    predicting zero scores.

    For a mixture also the floor: the loss of the exact posterior mean on the very same draws; at
    the noise levels of score matching on the line its expectation, too.
    """
    model, x0 = run.model, data.held_out[: LIMIT if data.is_image else 8 * LIMIT]
    sample, parts = np.arange(len(x0)), []
    for number in range(DRAWS):
        t = model.schedule.sample_times(uniform(seed, sample, 2 * number, Purpose.EVALUATION, ()))
        noise = normal(seed, sample, 2 * number + 1, Purpose.EVALUATION, data.shape, x0.dtype)
        parts.append(losses_at(model, run.state.ema, x0, t, noise, data.mixture, ops))
    sums = {name: sum(part[name] for part in parts) / DRAWS for name in parts[0]}
    if run.system == "smld" and data.mixture and data.mixture.dimension == 1:
        sigmas = model.schedule.noise_scale(np.arange(1, model.schedule.T + 1))
        sums["its expectation, by quadrature"] = float(2 * floors(data.mixture, sigmas).mean())
    return sums


def chain_likelihood(run, ops, how, count=128):
    """-ELBO of held-out data under the chain of the sampler's steps, if it is a chain, else of all
    the schedule's, in nats an example; for images in bits per dimension too.

    The variance of a step is what the network says where it learned that; else the posterior one
    plus what the network's error on training data adds ("exact"), and the last step's decoder has
    that error as its variance.
    """
    data, schedule, predict, prediction = (
        run.data,
        run.model.schedule,
        run.predictor(ops),
        run.model.prediction,
    )
    bin_width, steps = (
        data.bin_width or None,
        min(how["steps"], schedule.T) if how["sampler"] in ("ddpm", "ddim") else schedule.T,
    )
    if isinstance(run.model, LearnedVariance):
        choice = {}
    else:
        errors = {
            t: _error(predict, prediction, schedule, data.train[:count], t, ops)
            for t in schedule.timesteps(steps)[:-1]
        }
        choice = {"variance": "exact", "mmse": errors.get}
    terms = elbo_terms(
        predict,
        schedule,
        data.held_out[:count],
        2,
        steps,
        bin_width=bin_width,
        prediction=prediction,
        **choice,
    )
    rows = _bound(
        {
            name: float(values.reshape(len(values), -1).sum(axis=1).mean())
            for name, values in terms.items()
        }
    )
    if bin_width:
        rows[f"-ELBO (bits per dimension, bins of {bin_width:.4g})"] = (
            rows["-ELBO (nats)"] / np.log(2) / data.held_out[0].size
        )
    return rows | _exact_likelihood(data, count)


def flow_likelihood(run, ops, seed=2, count=64):
    """-log p of held-out data by the probability-flow ODE, in nats an example; of images, spread
    over their bins, in bits per dimension.

    The trace is exact for points and Hutchinson's for images.  What the network knows is the
    density with a little noise, ``sde.t_min``.
    """
    sde, data = run.model.schedule, run.data
    at, x, bin_width, probe = (
        run.model.score_and_pullback(run.state.ema, ops=ops),
        data.held_out[:count],
        data.bin_width,
        None,
    )
    sample = np.arange(len(x))
    if data.is_image:
        probe = rademacher(uniform(seed, sample, 0, Purpose.PROBE, data.shape, x.dtype))
    if bin_width:
        x = dequantise(x, bin_width, uniform(seed, sample, 0, Purpose.EVALUATION, data.shape))
    alpha, sigma = sde.marginal(sde.t_min)
    x = add_noise(x, alpha, sigma, Key(seed, sample, 1, Purpose.EVALUATION))
    log_p = log_likelihood(
        sde, lambda x, t: at(x, *sde.marginal(t)), x, probe, t_start=sde.t_min, rtol=1e-3, atol=1e-3
    ).mean()
    rows = {f"-log p with noise {sde.min_noise_ratio:g} (nats)": float(-log_p)}
    if bin_width:
        bits = bits_per_dimension(log_p, x[0].size, bin_width)
        rows[f"-log p (bits per dimension, bins of {bin_width:.4g})"] = float(bits)
    return rows | _exact_likelihood(data, count)


def _bound(means):
    return {f"-ELBO, {name} term (nats)": mean for name, mean in means.items()} | {
        "-ELBO (nats)": sum(means.values())
    }


def _exact_likelihood(data, count):
    if not data.mixture:
        return {}
    return {
        "exact -log p (nats)": float(
            -data.mixture.log_density(data.held_out[:count].astype(np.float64)).mean()
        )
    }


def _error(predict, prediction, schedule, x0, t, ops):
    """Mean squared error per entry of the prediction of x0 at time t."""
    noise = normal(3, np.arange(len(x0)), t, Purpose.EVALUATION, x0.shape[1:], x0.dtype)
    x = forward(schedule, x0, t, noise, ops)
    return mean_square(
        convert(predict(x, t), x, prediction, "x0", schedule.signal(t), schedule.noise_scale(t))
        - x0
    )


def bounds(run, ops, seed=1, weights=64):
    """-ELBO of held-out data under a VAE, the tighter bound by importance weights, the exact value
    and what a linear VAE reaches.
    """
    model, ema, data = run.model, run.state.ema, run.data
    x = data.held_out[:LIMIT]
    draws = [
        normal(seed, np.arange(len(x)), k, Purpose.EVALUATION, (model.network.latent,), x.dtype)
        for k in range(DRAWS)
    ]
    terms = [model.elbo_terms(ema, x, eps, ops) for eps in draws]
    rows = _bound({name: float(np.mean([term[name] for term in terms])) for name in terms[0]})
    rows[f"-log p, bound by {weights} importance weights (nats)"] = float(
        -model.importance_weighted(ema, x, weights, seed, ops).mean()
    )
    rows |= _exact_likelihood(data, LIMIT)
    flat, latent = data.train.astype(np.float64).reshape(len(data.train), -1), model.network.latent
    # else a linear one has no noise left to explain
    if latent < np.linalg.matrix_rank(flat - flat.mean(axis=0)):
        linear = probabilistic_pca(flat, latent)
        rows["-log p of the best linear VAE (nats)"] = float(
            -linear.log_likelihood(x.astype(np.float64).reshape(len(x), -1)).mean()
        )
    return rows | {
        "deviation of the decoder": float(
            np.exp(ema["decoder.log_var"][0] / 2) * model.data_variance**0.5
        )
    }


def restoration(run, ops, x, how, seed=1):
    """Squared errors per entry of degraded data, of its restoration in one step and of x, and how
    natural the one step looks.

    x: restored from the same degraded data; None for samples that began with noise.
    """
    model, data = run.model, run.data
    x0 = data.held_out[:LIMIT]
    total, exact = 0.0, 0.0
    for number in range(DRAWS):
        sample = np.arange(len(x0))
        t, n_y, z = model.sample_training_noise(seed, sample, number, data.shape, x0.dtype, ops)
        total += float(model.loss(run.state.ema, x0, t, n_y, z, ops=ops)[0]) / DRAWS
        if data.mixture and not model.epsilon:
            x_t = path(x0, model.degradation(x0, n_y), t, ops).astype(np.float64)
            best = [
                data.mixture.posterior_mean(row[None], 1.0, time * model.degradation.noise)[0]
                for row, time in zip(x_t, t)
            ]
            exact += mean_square(np.array(best) - x0) / DRAWS
    rows = {"loss": total} | ({"loss of the exact posterior mean": exact} if exact else {})
    if x is None:
        return rows
    level = {name: how.get(name, getattr(model.degradation, name)) for name in ("noise", "blur")}
    y, clean = degraded(run, ops, np.arange(len(x)), how["seed"], **level)
    one_step, _ = draw(run, ops, len(x), sampler="indi", seed=how["seed"], steps=1, **level)
    rows |= {
        f"{name}, in one step": value
        for name, value in quality(one_step, data).items()
        if "real" not in name
    }
    named = {"degraded": y, "restored in one step": one_step, f"restored by {how['sampler']}": x}
    return rows | {
        f"error of the {name}": mean_square(images - clean) for name, images in named.items()
    }


def quality(x, data):
    """Distances of samples x from real data, each beside what held-out data of the same number
    scores.
    """
    real = data.held_out[: len(x)]
    if data.is_image:
        features = metrics.principal_components(data.train)
        return {
            "frechet": metrics.frechet_distance(x[: len(real)], data.train, features),
            "frechet_of_real": metrics.frechet_distance(real, data.train, features),
            "accepted": metrics.nearest_neighbour_precision(x, data.train, data.held_out[:LIMIT]),
        }
    rows = {
        "sliced wasserstein": metrics.sliced_wasserstein(x[: len(real)], data.train),
        "sliced wasserstein of real": metrics.sliced_wasserstein(real, data.train),
    }
    if data.mixture:
        shares, expected = (
            metrics.mode_shares(x, data.mixture),
            metrics.expected_mode_shares(data.mixture),
        )
        rows["within 2 deviations of a mode"] = float(shares.sum())
        rows["within 2 deviations of a mode, exact samples"] = float(expected.sum())
        rows["least share of a mode, over the expected"] = float((shares / expected).min())
    return rows
