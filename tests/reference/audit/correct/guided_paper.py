"""The weight of Ho and Salimans 2022: 0 is the conditional prediction."""

CLAIMS = {"guidance": "conditional at 0"}
RECOGNISED = {"guidance": "conditional at 0"}


def guided(conditional, unconditional, weight):
    return (1 + weight) * conditional - weight * unconditional
