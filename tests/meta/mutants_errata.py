"""The tutorial's misprints that could be typed into the code: which mutant each of them is.

``TYPED``: number -> (file, the text that the mutant puts there).  The mutants themselves stand in the lists of their chapters, and here
those that are nothing but a misprint.
"""

VAE, DDPM, LANGEVIN, ANNEALED = (
    f"reference/{name}.py" for name in ("vae/linear", "ddpm/ddpm", "samplers/langevin", "samplers/annealed_langevin")
)
SCORE_MATCHING, SOLVERS, PHYSICS = "reference/smld/score_matching.py", "reference/samplers/sde.py", "reference/fokker_planck/"

MUTANTS = (
    (
        "reference/vae/gaussian.py",
        "return -(np.square(z) / 2 +",
        "return -(-np.square(z) / 2 +",
        "tests/reference/test_gaussian.py::test_log_density_is_the_sum_of_those_of_the_entries",
    ),
    (
        VAE,
        "covariance = self.W @ self.W.T + self.s2",
        "covariance = self.W @ np.linalg.pinv(self.W) + self.s2",
        "tests/reference/test_linear_vae.py::test_likelihood_is_that_of_the_sum_of_two_covariances",
    ),
    (
        "reference/ddpm/ddim.py",
        "schedule.signal(t_prev) - c_x * schedule.signal(t)",
        "schedule.signal(t_prev) - c_x * schedule.signal(t) / schedule.signal(t_prev)",
        "tests/reference/test_samplers.py::test_ddims_gain_on_centred_gaussian_data",
    ),
)

TYPED = {
    "E2": (VAE, "self.reconstruction(x) + self.kl(x)"),
    "E2c": (VAE, "np.log(2 * np.pi * self.s2) / 2"),
    "E2d": ("reference/vae/estimators.py", "value = np.ones((len(eps), 1))"),
    "E4": (DDPM, "(1 - schedule.signal(t_prev)) / schedule.noise_power(t)\n    c_x ="),
    "E4b": ("reference/vae/gaussian.py", "return -(-np.square(z) / 2 +"),
    "E6": ("reference/diffusion/forward_process.py", "signal = cast_like(schedule.signal_power(t), x0)"),
    "E8": (LANGEVIN, "e / 2, 1.0, Key("),
    "E10": (ANNEALED, "return (sigmas"),
    "E10b": (SCORE_MATCHING, "noise / per_sample_column(sigma, noise)"),
    "E10c": (SCORE_MATCHING, "x0"),
    "E12": ("reference/ddpm/ddim.py", "schedule.signal(t_prev) - c_x * schedule.signal(t) / schedule.signal(t_prev)"),
    "E12b": (VAE, "covariance = self.W @ np.linalg.pinv(self.W) + self.s2"),
    "E5": (SOLVERS, "return 1 / a, deviation**2 / (2 * a),"),
    "E11": (SOLVERS, "1.0, step, step**0.5, key"),
    "E11b": (SOLVERS, "score(x, t), length"),
    "E11c": (SOLVERS, "deviation"),
    "E13": (SOLVERS, "x = x + drift(x, t) + diffusion(x, t) * dW\n"),
    "E13b": (PHYSICS + "langevin_equation.py", "* 1.0"),
    "E14b": (PHYSICS + "kramers_moyal.py", "(y - x) ** m / (factorial(m) ** 2 * tau)"),
    "E14c": (PHYSICS + "kramers_moyal.py", "dict(D)"),
    "E15": (PHYSICS + "langevin_equation.py", "g(x), grid"),
    "E15c": (PHYSICS + "fokker_planck.py", "return (self.D1 - np.gradient(self.D2, self.dx)) * np.interp(self.faces, self.centres, p)"),
    "E15e": (PHYSICS + "fokker_planck.py", "return -(to_right * np"),
    "E19": (LANGEVIN, "score(x), 1.0, -tau, 0, None)"),
    "E20": ("reference/diffusion/denoiser.py", "network(x, full_per_sample"),
}

NOT_TYPED = {
    "E1": "says where a maximum lies, which no line of the code does",
    "E2b": "a density of z where one of x belongs: of another type in the code",
    "E3": "an expectation that the code never takes",
    "E4c": "a claim about a line",
    "E6c": "the code has the weight as a ratio of SNRs",
    "E7": "its 1/0 is no number that a test could compare: NumPy warns, and warnings are errors",
    "E9": "a claim about a histogram",
    "E10d": "the normalisation of a kernel is that of the mixture it is part of",
    "E13c": "a solution that the code never writes out",
    "E13d": "an order of arguments: the code has one throughout",
    "E14": "the code stops at the second coefficient, whose sign the steps have",
    "E15b": "the code takes the drift whole",
    "E15d": "a claim about what W means",
    "E15f": "a derivation",
}
