"""EDM: time is sigma, the network predicts x_0, weight (sigma^2 + 0.25) / (0.25 sigma^2)."""

CLAIMS = {"time": "sigma"}
RECOGNISED = {"prediction": "x0", "loss weight": "(sigma^2 + s^2) / (sigma s)^2 on x_0 with s = 0.5 (EDM), times 4"}


def loss(denoise, x0, t, noise):
    weight = (t**2 + 0.25) / (0.5 * t) ** 2
    return weight * ((denoise(x0 + t * noise, t) - x0) ** 2).mean()
