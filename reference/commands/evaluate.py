"""``evaluate RUN``: the loss beside its floor, a bound on the likelihood, and the quality of samples beside that of real data."""

import numpy as np

from reference import metrics
from reference.commands.sample import add_sampling_options, choose, draw
from reference.conversions import convert
from reference.ddpm.ddpm import elbo_terms, forward
from reference.ops.random import Purpose, normal, uniform
from reference.run import open_run

LIMIT = 512  # held-out samples that are looked at


def add_options(parser):
    add_sampling_options(parser, sampler="ddim", n=LIMIT)


def execute(arguments, ops):
    run = open_run(arguments.run)
    data = run.load_data()
    how = choose(run, arguments)
    if arguments.n < 2:
        raise ValueError(f"n must be at least 2 to measure a distance, got {arguments.n}")
    rows = {"training steps": run.state.step} | losses(run, data, ops)
    rows |= likelihood(run, data, ops, how["steps"])
    rows |= quality(draw(run, ops, arguments.n, **how), data)
    width = max(map(len, rows))
    print(f"{run.folder}: {run.config['system']} on {data.name}, samples by {how['sampler']} in {how['steps']} steps")
    for name, value in rows.items():
        print(f"  {name:{width}}  {value if isinstance(value, int) else format(value, '.5g')}")
    return 0


def losses(run, data, ops, draws=4, seed=1):
    """The loss of the averaged weights on held-out data, at ``draws`` fixed times and noises a sample, against what predicting zero scores.

    For a mixture also the floor: the loss of the exact posterior mean on the very same draws.
    """
    denoiser, x0 = run.denoiser, data.held_out[:LIMIT]
    sums = {"loss": 0.0, "loss of predicting zero": 0.0} | ({"loss of the exact prediction": 0.0} if data.mixture else {})
    for number in range(draws):
        sample = np.arange(len(x0))
        t = 1 + np.floor(uniform(seed, sample, 2 * number, Purpose.EVALUATION, ()) * denoiser.schedule.T).astype(np.int64)
        noise = normal(seed, sample, 2 * number + 1, Purpose.EVALUATION, data.shape, x0.dtype)
        x, target = forward(denoiser.schedule, x0, t, noise, ops), denoiser.target(x0, t, noise, ops)
        prediction, _ = denoiser.predict(run.state.ema, x, t, ops=ops)
        sums["loss"] += _mean_square(prediction - target) / draws
        sums["loss of predicting zero"] += _mean_square(target) / draws
        if data.mixture:
            sums["loss of the exact prediction"] += _mean_square(_exact(denoiser, data.mixture, x, t) - target) / draws
    return sums


def _mean_square(x):
    return float((x.astype(np.float64) ** 2).mean())


def _exact(denoiser, mixture, x, t):
    """The best prediction that there is, sample by sample: each has a time of its own."""
    rows = []
    for row, time in zip(x.astype(np.float64)[:, None], t):
        alpha, sigma = denoiser.schedule.signal(time), denoiser.schedule.noise_scale(time)
        rows.append(convert(mixture.noise(row, alpha, sigma), row, "noise", denoiser.prediction, alpha, sigma))
    return np.concatenate(rows)


def likelihood(run, data, ops, steps, count=128):
    """-ELBO of held-out data under the chain of ``steps`` steps, in nats an example; for images in bits per dimension too.

    The variance of a step is the posterior one plus what the network's error on training data adds ("exact"); the last step's
    decoder has that error as its variance.
    """
    schedule, noise_of = run.denoiser.schedule, run.noise_of(ops)
    errors = {t: _error(noise_of, schedule, data.train[:count], t, ops) for t in schedule.grid(steps)[:-1]}
    bin_width = data.bin_width or None
    terms = elbo_terms(noise_of, schedule, data.held_out[:count], 2, steps, "exact", mmse=errors.get, bin_width=bin_width)
    means = {name: float(values.reshape(len(values), -1).sum(axis=1).mean()) for name, values in terms.items()}
    rows = {f"-ELBO, {name} term (nats)": mean for name, mean in means.items()} | {"-ELBO (nats)": sum(means.values())}
    if bin_width:
        rows[f"-ELBO (bits per dimension, bins of {bin_width:.4g})"] = sum(means.values()) / np.log(2) / data.held_out[0].size
    if data.mixture:
        rows["exact -log p (nats)"] = float(-data.mixture.log_density(data.held_out[:count].astype(np.float64)).mean())
    return rows


def _error(noise_of, schedule, x0, t, ops):
    """Mean squared error per entry of the prediction of x0 at time t."""
    noise = normal(3, np.arange(len(x0)), t, Purpose.EVALUATION, x0.shape[1:], x0.dtype)
    x = forward(schedule, x0, t, noise, ops)
    return _mean_square(noise_of(x, t) - noise) * schedule.noise_power(t) / schedule.alpha_bar(t)


def quality(x, data):
    """Distances of samples x from real data, each beside what held-out data of the same number scores."""
    real = data.held_out[: len(x)]
    if data.is_image:
        features = metrics.principal_components(data.train)
        return {
            "frechet": metrics.frechet_distance(x[: len(real)], data.train, features),
            "frechet_of_real": metrics.frechet_distance(real, data.train, features),
            "accepted": metrics.accepted(x, data.train, data.held_out[:LIMIT]),
        }
    return {
        "sliced wasserstein": metrics.sliced_wasserstein(x[: len(real)], data.train),
        "sliced wasserstein of real": metrics.sliced_wasserstein(real, data.train),
    }
