"""The numbers of ``evaluate``: losses, likelihoods and the quality of samples, each with its
exact value or the value for real data.
"""

import numpy as np

from reference import ops as reference_ops
from reference.data import metrics
from reference.ddpm.ddpm import elbo_terms
from reference.ddpm.indi import path
from reference.ddpm.learned import LearnedVariance
from reference.diffusion.conversions import convert, per_sample_column
from reference.diffusion.denoiser import exact_prediction
from reference.diffusion.forward_process import forward
from reference.diffusion.guidance import null_labels
from reference.diffusion.schedules import VarianceExplodingSchedule
from reference.networks.blocks import takes_labels
from reference.ops import add_noise
from reference.ops.random import Key, Purpose, normal, uniform
from reference.runs.conditions import with_labels
from reference.runs.image_quality import image_quality, pca_features
from reference.runs.sampling import draw
from reference.runs.trajectory import degraded
from reference.sde.likelihood import bits_per_dimension, dequantise, log_likelihood
from reference.smld.score_matching import rademacher
from reference.smld.smld import loss_floors
from reference.vae.linear import probabilistic_pca

# Held-out samples; eight times as many for the losses of points, which cost little.
LIMIT = 512
DRAWS = 4  # times and noises for each of them
CLASSIFIER_SIGMAS = (0.05, 0.1, 0.3, 1.0, 3.0, 10.0)


def likelihood(run, ops, x, how):
    """The rows of the method's likelihood, and its losses: a dictionary by name.

    x[n,...]: samples of the run, drawn with the options ``how``.
    """
    if run.method.restores:
        return restoration(run, ops, x if how["sampler"] == "indi" else None, how)
    if not run.method.has_score:
        return {}
    if run.method.likelihood == "importance weights":
        return bounds(run, ops)
    rows = losses(run, run.data, ops) | label_probe(run, run.data, ops)
    if run.method.likelihood == "probability flow":
        return rows | flow_likelihood(run, ops)
    return rows | chain_likelihood(run, ops, how)


def losses_at(model, weights, x0, t, noise, mixture=None, ops=reference_ops):
    """Losses by name, for x0[b,...] at times t[b]: of ``weights``, of predicting zero and, for data
    drawn from ``mixture``, of the exact prediction.
    """
    x, target = forward(model.schedule, x0, t, noise, ops), model.target(x0, t, noise, ops)
    output, _ = model.predict(weights, x, t, ops=ops, keep=False)
    loss = lambda prediction: mean_loss(model, prediction, target, t)
    found = {
        "loss": loss(model.prediction_part(output)),
        "loss of predicting zero": loss(np.zeros_like(target)),
    }
    if mixture:
        chosen = (model.prediction, model.data_variance)
        exact = exact_prediction(mixture, model.schedule, x, t, *chosen)
        found["loss of the exact prediction"] = loss(exact)
    return found


def mean_loss(model, prediction, target, t):
    """The mean of (prediction - target)^2 [b,...], weighted by the model's ``loss_weights`` at
    times t[b], in float64.
    """
    weights = model.loss_weights(t)
    root = 1.0 if weights is None else per_sample_column(weights**0.5, target)
    return mean_square(root * (prediction - target))


def mean_square(x):
    """The mean of x^2 over all entries, in float64."""
    return float((x.astype(np.float64) ** 2).mean())


def losses(run, data, ops, seed=1):
    """The loss of the averaged weights on held-out data, at fixed times and noises, and the loss
    of predicting zero.

    For a mixture also the least possible loss: the loss of the exact prediction on the same
    draws, and for score matching in one dimension its expectation.
    """
    x0 = data.held_out[: LIMIT if data.is_image else 8 * LIMIT]
    model = with_labels(run, data.held_out_labels[: len(x0)]).model
    sample, parts = np.arange(len(x0)), []
    for number in range(DRAWS):
        t = model.schedule.sample_times(uniform(seed, sample, 2 * number, Purpose.EVALUATION, ()))
        noise = normal(seed, sample, 2 * number + 1, Purpose.EVALUATION, data.shape, x0.dtype)
        parts.append(losses_at(model, run.state.ema, x0, t, noise, data.mixture, ops))
    sums = {name: sum(part[name] for part in parts) / DRAWS for name in parts[0]}
    ladder = isinstance(model.schedule, VarianceExplodingSchedule)
    if ladder and data.mixture and data.mixture.dimension == 1:
        sigmas = model.schedule.noise_scale(np.arange(1, model.schedule.T + 1))
        sums["its expectation, by quadrature"] = float(2 * loss_floors(data.mixture, sigmas).mean())
    return sums


def label_probe(run, data, ops, seed=1):
    """Does the network use its label, a class or a caption?  The loss on held-out data with
    ``other_labels`` in place of the right ones and without labels, and the change of the prediction
    with other labels: root mean squares, relative to the prediction.  0 for a network that ignores
    its label.

    No rows for a run without labels.
    """
    if not takes_labels(run.model.network):
        return {}
    x0, own = data.held_out[:LIMIT], data.held_out_labels[:LIMIT]
    sample = np.arange(len(x0))
    t = run.model.schedule.sample_times(uniform(seed, sample, 0, Purpose.EVALUATION, ()))
    noise = normal(seed, sample, 1, Purpose.EVALUATION, data.shape, x0.dtype)
    x, target = forward(run.model.schedule, x0, t, noise, ops), run.model.target(x0, t, noise, ops)
    predict = lambda labels: run.model.prediction_part(
        run.model.predict(run.state.ema, x, t, labels, ops, keep=False)[0]
    )
    right, wrong = predict(own), predict(other_labels(run, own))
    rows = {"loss with another label": mean_loss(run.model, wrong, target, t)}
    if run.settings.label_dropout:
        null = predict(null_labels(own, run.model.network))
        rows["loss without a label"] = mean_loss(run.model, null, target, t)
    change, size = mean_square(wrong - right), mean_square(right)
    rows["change of the prediction by another label"] = (change / size) ** 0.5 if size else 0.0
    return rows


def other_labels(run, own):
    """For each of ``own`` the next class, or the caption of the next image."""
    return (own + 1) % len(run.config["classes"]) if own.ndim == 1 else np.roll(own, -1, axis=0)


def chain_likelihood(run, ops, how, count=128):
    """-ELBO of held-out data, in nats an example; for images also in bits per dimension.

    The chain has the steps of ``ddpm`` or ``ddim`` if one of them is the sampler, else all steps of
    the schedule.  The variance of a step is the learned one, if there is one.  Else it is the
    "exact" one of ``reverse_log_variance``, with the network's squared error on training data as
    mmse; the decoder of the last step has that error as its variance.
    """
    data, schedule, prediction = run.data, run.model.schedule, run.model.sampled_prediction
    bin_width = data.bin_width or None
    is_chain = how["sampler"] in ("ddpm", "ddim")
    steps = min(how["steps"], schedule.T) if is_chain else schedule.T
    choice: dict = {"bin_width": bin_width, "prediction": prediction}
    if not isinstance(run.model, LearnedVariance):
        predict = with_labels(run, data.train_labels[:count]).predictor(ops)
        x0, times = data.train[:count], schedule.timesteps(steps)[:-1]
        errors = {t: _error(predict, prediction, schedule, x0, t, ops) for t in times}
        choice |= {"variance": "exact", "mmse": errors.get}
    held_out = data.held_out[:count]
    predict = with_labels(run, data.held_out_labels[:count]).predictor(ops)
    terms = elbo_terms(predict, schedule, held_out, 2, steps, **choice)
    by_example = {name: term.reshape(len(term), -1).sum(axis=1) for name, term in terms.items()}
    rows = _bound({name: float(nats.mean()) for name, nats in by_example.items()})
    if bin_width:
        bits = rows["-ELBO (nats)"] / np.log(2) / data.held_out[0].size
        rows[f"-ELBO (bits per dimension, bins of {bin_width:.4g})"] = bits
    return rows | _exact_likelihood(data, count)


def flow_likelihood(run, ops, seed=2, count=64):
    """-log p of held-out data by the probability-flow ODE, in nats an example; of images, spread
    over their bins, also in bits per dimension.

    The trace is exact for points and Hutchinson's estimate for images.  It is the density of data
    with a little noise, at ``sde.t_min``.
    """
    sde, data, probe = run.model.schedule, run.data, None
    model = with_labels(run, data.held_out_labels[:count]).model
    score_and_pullback = model.score_and_pullback(run.state.ema, ops=ops)
    x, bin_width = data.held_out[:count], data.bin_width
    sample = np.arange(len(x))
    if data.is_image:
        probe = rademacher(uniform(seed, sample, 0, Purpose.PROBE, data.shape, x.dtype))
    if bin_width:
        x = dequantise(x, bin_width, uniform(seed, sample, 0, Purpose.EVALUATION, data.shape))
    alpha, sigma = sde.marginal(sde.t_min)
    x = add_noise(x, alpha, sigma, Key(seed, sample, 1, Purpose.EVALUATION))
    at = lambda x, t: score_and_pullback(x, *sde.marginal(t))
    log_p = log_likelihood(sde, at, x, probe, t_start=sde.t_min, rtol=1e-3, atol=1e-3).mean()
    rows = {f"-log p with noise {sde.min_noise_ratio:g} (nats)": float(-log_p)}
    if bin_width:
        bits = bits_per_dimension(log_p, x[0].size, bin_width)
        rows[f"-log p (bits per dimension, bins of {bin_width:.4g})"] = float(bits)
    return rows | _exact_likelihood(data, count)


def _bound(means):
    rows = {f"-ELBO, {name} term (nats)": mean for name, mean in means.items()}
    return rows | {"-ELBO (nats)": sum(means.values())}


def _exact_likelihood(data, count):
    if not data.mixture:
        return {}
    log_p = data.mixture.log_density(data.held_out[:count].astype(np.float64))
    return {"exact -log p (nats)": float(-log_p.mean())}


def _error(predict, prediction, schedule, x0, t, ops):
    """Mean squared error per entry of the prediction of x0 at time t."""
    noise = normal(3, np.arange(len(x0)), t, Purpose.EVALUATION, x0.shape[1:], x0.dtype)
    x, levels = forward(schedule, x0, t, noise, ops), (schedule.signal(t), schedule.noise_scale(t))
    return mean_square(convert(predict(x, t), x, prediction, "x0", *levels) - x0)


def bounds(run, ops, seed=1, weights=64):
    """For a VAE: -ELBO of held-out data, the tighter bound by importance weights, the exact value,
    and the value of the best linear VAE.
    """
    model, ema, data = run.model, run.state.ema, run.data
    x, latent = data.held_out[:LIMIT], model.network.latent
    purpose = Purpose.EVALUATION
    draws = [normal(seed, np.arange(len(x)), k, purpose, (latent,), x.dtype) for k in range(DRAWS)]
    terms = [model.elbo_terms(ema, x, eps, ops) for eps in draws]
    rows = _bound({name: float(np.mean([term[name] for term in terms])) for name in terms[0]})
    tighter = -model.importance_weighted(ema, x, weights, seed, ops).mean()
    rows[f"-log p, bound by {weights} importance weights (nats)"] = float(tighter)
    rows |= _exact_likelihood(data, LIMIT)
    flat = data.train.astype(np.float64).reshape(len(data.train), -1)
    # with as many latent variables as the data's rank, a linear VAE has no noise left to explain
    if latent < np.linalg.matrix_rank(flat - flat.mean(axis=0)):
        linear = probabilistic_pca(flat, latent)
        log_p = linear.log_likelihood(x.astype(np.float64).reshape(len(x), -1))
        rows["-log p of the best linear VAE (nats)"] = float(-log_p.mean())
    deviation = np.exp(ema["decoder.log_var"][0] / 2) * model.data_variance**0.5
    return rows | {"deviation of the decoder": float(deviation)}


def restoration(run, ops, x, how, seed=1):
    """For InDI: squared errors per entry of degraded data, of its restoration in one step and of x,
    and the quality of the one step.

    x: restored from the same degraded data; None for samples that began with noise.
    """
    model, data = run.model, run.data
    x0 = data.held_out[:LIMIT]
    labels = data.held_out_labels[:LIMIT] if takes_labels(model.network) else None
    sample, total, exact = np.arange(len(x0)), 0.0, 0.0
    for number in range(DRAWS):
        t, n_y, z = model.sample_training_noise(seed, sample, number, data.shape, x0.dtype, ops)
        mean, *_ = model.loss(run.state.ema, x0, t, n_y, z, labels, ops)
        total += float(mean) / DRAWS
        if data.mixture and not model.epsilon:
            x_t = path(x0, model.degradation(x0, n_y), t, ops).astype(np.float64)
            mean = lambda row, sigma: data.mixture.posterior_mean(row[None], 1.0, sigma)[0]
            best = [mean(row, time * model.degradation.noise) for row, time in zip(x_t, t)]
            exact += mean_square(np.array(best) - x0) / DRAWS
    rows = {"loss": total} | ({"loss of the exact posterior mean": exact} if exact else {})
    if x is None:
        return rows
    level = {name: how.get(name, getattr(model.degradation, name)) for name in ("noise", "blur")}
    y, clean = degraded(run, ops, np.arange(len(x)), how["seed"], **level)
    one_step, _ = draw(run, ops, len(x), sampler="indi", seed=how["seed"], steps=1, **level)
    for name, value in quality(one_step, data).items():
        if "real" not in name:
            rows[f"{name}, in one step"] = value
    named = {"degraded": y, "restored in one step": one_step, f"restored by {how['sampler']}": x}
    for name, images in named.items():
        rows[f"error of the {name}"] = mean_square(images - clean)
    return rows


def classification(run, ops, n, seed=0):
    """For a classifier: loss in nats and accuracy on n held-out images, beside those of the shares
    of the classes in the training data; for noisy images the accuracy by sigma, too.
    """
    model, data, weights = run.model, run.data, run.state.ema
    x, labels = data.held_out[:n], data.held_out_labels[:n]
    shares = np.bincount(data.train_labels, minlength=model.network.classes) / len(data.train)
    log_p = model.log_probabilities(weights, x, ops=ops)
    rows = {
        "images": len(x),
        "loss (nats)": float(-log_p[np.arange(len(x)), labels].mean()),
        "loss of the classes' shares (nats)": float(-np.log(shares)[labels].mean()),
        "accuracy": float((log_p.argmax(axis=1) == labels).mean()),
        "accuracy of the most frequent class": float((labels == shares.argmax()).mean()),
    }
    if model.noise_range is None:
        return rows
    for sigma in CLASSIFIER_SIGMAS:
        noisy = add_noise(x, 1.0, sigma, Key(seed, np.arange(len(x)), 0, Purpose.EVALUATION))
        name = f"accuracy, sigma {sigma:g}"
        rows[name] = model.accuracy(weights, noisy, labels, 1.0, sigma, ops)
    return rows


def quality(x, data):
    """Distances of samples x from real data, beside the distances of as many held-out samples."""
    if data.is_image:
        found = image_quality(x, data, pca_features(data))
        suffixes = {"": "samples", "_of_real": "real"}
        return {
            f"{name}{suffix}": found[name][column].value
            for name in ("frechet", "precision", "recall")
            for suffix, column in suffixes.items()
        }
    real = data.held_out[: len(x)]
    rows = {
        "sliced wasserstein": metrics.sliced_wasserstein(x[: len(real)], data.train),
        "sliced wasserstein of real": metrics.sliced_wasserstein(real, data.train),
    }
    if data.mixture:
        shares = metrics.mode_shares(x, data.mixture)
        expected = metrics.expected_mode_shares(data.mixture)
        rows["within 2 deviations of a mode"] = float(shares.sum())
        rows["within 2 deviations of a mode, exact samples"] = float(expected.sum())
        rows["least share of a mode, over the expected"] = float((shares / expected).min())
    return rows
