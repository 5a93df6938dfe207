"""Flow matching, x_t = (1 - t) x_0 + t eps, the network predicts the velocity eps - x_0, Euler's step."""

RECOGNISED = {"time": "real", "form of x": "flow", "prediction": "velocity"}


def add_noise(x0, noise, t):
    return (1 - t) * x0 + t * noise


def timesteps(n):
    return [1 - i / n for i in range(n + 1)]


def step(v, t, x, t_next):
    return x + (t_next - t) * v
