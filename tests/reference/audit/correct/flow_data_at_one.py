"""Flow matching as in Lipman et al. 2023: noise at t = 0, data at t = 1, so that a sampler's times rise."""

RECOGNISED = {
    "time": "real",
    "arguments of add_noise": "x_1 is the data",
    "direction of time": "data at t = 1",
    "form of x": "flow",
    "prediction": "reversed velocity",
}


def marginal(t):
    return t, 1 - t


def add_noise(x1, x0, t):
    return t * x1 + (1 - t) * x0


def timesteps(n):
    return [i / n for i in range(n)]


def step(u, t, x, t_next):
    return x + (t_next - t) * u
