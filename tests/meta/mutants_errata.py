"""The tutorial's misprints as mutants of the code.

``TYPED``: number -> (file, the new text of the mutant).  Most mutants are in the lists of their chapters; MUTANTS here holds the rest.
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
        "tests/reference/test_gaussian.py::test_diagonal_log_density_is_the_sum_over_entries",
    ),
    (
        VAE,
        "covariance = self.W @ self.W.T + self.s2",
        "covariance = self.W @ np.linalg.pinv(self.W) + self.s2",
        "tests/reference/test_linear_vae.py::test_likelihood_is_gaussian_with_the_sum_of_two_covariances",
    ),
    (
        "reference/ddpm/ddim.py",
        "schedule.signal(t_prev) - c_x * schedule.signal(t)",
        "schedule.signal(t_prev) - c_x * schedule.signal(t) / schedule.signal(t_prev)",
        "tests/reference/test_ancestral_and_ddim.py::test_ddim_gain_on_centred_gaussian_data",
    ),
    (
        "reference/tutorial/errata/__init__.py",
        "return int(digits), number",
        "return digits, number",
        "tests/reference/test_errata.py::test_every_number_stands_once_and_in_order",
    ),
)

TYPED = {
    "E2": (VAE, "self.reconstruction(x) + self.kl(x)"),
    "E2c": (VAE, "np.log(2 * np.pi * self.s2) / 2"),
    "E2d": ("reference/vae/estimators.py", "value = np.ones((len(eps), 1))"),
    "E2e": ("reference/vae/gaussian.py", "((squares + r - 1).sum(axis=-1) - np.mean(np.log(r))) / 2"),
    "E4": (DDPM, "(1 - schedule.signal(t_prev)) / schedule.noise_power(t)\n    c_x ="),
    "E4b": ("reference/vae/gaussian.py", "return -(-np.square(z) / 2 +"),
    "E6": ("reference/diffusion/forward_process.py", "signal = cast_like(schedule.signal_power(t), x0)"),
    "E8": (LANGEVIN, "e / 2, 1.0, key)"),
    "E10": (ANNEALED, "return (sigmas"),
    "E10b": (SCORE_MATCHING, "noise / per_sample_column(sigma, noise)"),
    "E10c": (SCORE_MATCHING, "x0"),
    "E12": ("reference/ddpm/ddim.py", "schedule.signal(t_prev) - c_x * schedule.signal(t) / schedule.signal(t_prev)"),
    "E12b": (VAE, "covariance = self.W @ np.linalg.pinv(self.W) + self.s2"),
    "E5": (SOLVERS, "return 1 / a, deviation**2 / (2 * a),"),
    "E11": (SOLVERS, "1.0, step, step**0.5, key"),
    "E11b": (SOLVERS, "score_at_t(x, t), length"),
    "E11c": (SOLVERS, "deviation"),
    "E13": (SOLVERS, "x = x + drift(x, t) + diffusion(x, t) * dW\n"),
    "E13b": (PHYSICS + "langevin_equation.py", "* 1.0"),
    "E14b": (PHYSICS + "kramers_moyal.py", "(y - x) ** m / (factorial(m) ** 2 * tau)"),
    "E14c": (PHYSICS + "kramers_moyal.py", "dict(D)"),
    "E15": (PHYSICS + "langevin_equation.py", "g(x), grid"),
    "E15c": (PHYSICS + "fokker_planck.py", "return (self.D1 - np.gradient(self.D2, self.dx)) * np.interp(self.faces, self.centres, p)"),
    "E15e": (PHYSICS + "fokker_planck.py", "return -(to_right * np"),
    "E19": (LANGEVIN, "score(x), 1.0, -tau, 0, None)"),
    "E20": ("reference/diffusion/denoiser.py", "forward(params, x, c, ops, labels, keep=False)\n"),
}

NOT_TYPED = {
    "E1": "the position of a maximum; no line of the code computes it",
    "E2b": "a density of z for a density of x: the code has other types for the two",
    "E3": "the code never takes this expectation",
    "E4c": "a claim about a line",
    "E6c": "the code computes this weight as a ratio of SNRs",
    "E7": "1/0 is not a number that a test can compare: NumPy warns, and warnings are errors",
    "E9": "a claim about a histogram",
    "E10d": "the mixture normalises the kernels",
    "E13c": "the code never writes out this solution",
    "E13d": "an order of arguments: the code has one order throughout",
    "E14": "the code has the first two coefficients only, with their signs in the steps",
    "E15b": "the code takes the whole drift",
    "E15d": "a claim about the meaning of W",
    "E15f": "a derivation",
}
