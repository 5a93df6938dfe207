"""Flow matching with the network's output x_0 - eps, and times from a marginal."""

RECOGNISED = {"time": "real", "form of x": "flow", "prediction": "reversed velocity"}


def marginal(t):
    return 1 - t, t


def timesteps(n):
    return [1 - i / n for i in range(n)]


def step(prediction, t, x, t_prev):
    return x + (t - t_prev) * prediction
