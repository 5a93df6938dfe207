"""Rectified flow without a marginal: x_1 is the data, as the sampler shows, which begins at t = 0."""

RECOGNISED = {"arguments of add_noise": "x_1 is the data", "direction of time": "data at t = 1", "prediction": "reversed velocity"}


def add_noise(x1, x0, t):
    return t * x1 + (1 - t) * x0


def loss(model, x1, t, x0):
    return ((model(add_noise(x1, x0, t), t) - (x1 - x0)) ** 2).mean()


def sample(model, x, steps, seed):
    for i in range(steps):
        x = x + model(x, i / steps) / steps
    return x
