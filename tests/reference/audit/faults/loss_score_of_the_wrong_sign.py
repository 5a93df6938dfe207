"""The network learns z / sigma, where the score is -z / sigma.

The tutorial's misprint E10b, eq. (3.11): Langevin dynamics then climbs down from the data.
"""

CAUGHT_BY = "loss prediction"
CLAIMS = {"time": "sigma", "prediction": "score"}


def loss(denoise, x0, t, noise):
    target = noise / t
    return (t**2 * (denoise(x0 + t * noise, t) - target) ** 2).mean()
