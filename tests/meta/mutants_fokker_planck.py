"""Known mistakes in chapter 5: (file, exact old text, new text, test that must fail).  E14b and similar codes are rows of the errata."""


def _mutant(name, old, new, test):
    return f"reference/{name}.py", old, new, f"tests/reference/test_{test}"


def _step(old, new, test):
    return _mutant("ops/fokker_planck", old, new, "fokker_planck_step.py::test_" + test)


def _equation(old, new, test):
    return _mutant("fokker_planck/fokker_planck", old, new, "fokker_planck.py::test_" + test)


def _langevin(old, new, test):
    return _mutant("fokker_planck/langevin_equation", old, new, "langevin_equation.py::test_" + test)


def _master(old, new, test):
    return _mutant("fokker_planck/master_equation", old, new, "master_equation.py::test_" + test)


def _expansion(old, new, test):
    return _mutant("fokker_planck/kramers_moyal", old, new, "kramers_moyal.py::test_" + test)


STEADY = "neighbour_ratio_without_current_matches_the_exact_steady_state[0.5]"
MATRIX = "a_step_is_crank_nicolson_with_the_rates_of_the_cell_faces"

MUTANTS = (
    _equation("return self.ops.fokker_planck_step(", "return reference_ops.fokker_planck_step(", "an_equation_is_solved_by_its_port"),
    _step("to_left = both + np.maximum(B, 0)", "to_left = both + np.maximum(-B, 0)", STEADY),
    _step("B = slope - drift", "B = slope + drift", STEADY),
    _step("w / np.expm1(np.where(w == 0, 1, w))", "1 - w / 2", STEADY.replace("0.5", "30.0")),
    _step(
        "    B = slope - drift",
        "    B = -drift",
        "diffusion_that_depends_on_x_pulls_towards_small_diffusion",
    ),
    _step(
        "(diffusion[-2:-1], diffusion, diffusion[1:2])",
        "(diffusion[1:2], diffusion, diffusion[-2:-1])",
        "periodic_diffusion_slope_is_taken_across_the_boundary",
    ),
    _step("both = diffusion / dx**2", "both = diffusion / dx", STEADY),
    _step("rates[-1] = rates[0] if periodic else 0", "pass", STEADY),
    _step("half = p.dtype.type(dt / 2)", "half = p.dtype.type(dt)", MATRIX),
    _step("right[..., None])[..., 0]", "right[..., None])[..., 0] * 1.0 + 1e-6", "mass_is_kept"),
    _step("p + half * np.diff(flux, axis=0)", "p + 2 * half * np.diff(flux, axis=0)", MATRIX),
    _step("diagonal[-1] -= a * c / g", "diagonal[-1] += a * c / g", MATRIX),
    _step("c = below[0]\n    a = above[0]", "c = above[0]\n    a = below[0]", MATRIX),
    _step(
        "    p = _step(p, drift_x, diffusion_x, dx, dt / 2, periodic)\n    p = _step(p.T",
        "    p = _step(p, drift_x, diffusion_x, dx, dt, periodic)\n    p = _step(p.T",
        "a_2d_product_density_stays_the_product_of_its_1d_densities[False-float64]",
    ),
    # the equation
    _equation("return (\n            to_right * np", "return -(to_right * np", "probability_mass_changes_by_the_divergence_of_the_current"),
    _equation(  # E15c: D1 p - D2' p, a product
        "return (\n            to_right * np.concatenate((p[-1:], p)) - to_left * np.concatenate((p, p[:1]))\n        ) * self.dx",
        "return (self.D1 - np.gradient(self.D2, self.dx)) * np.interp(self.faces, self.centres, p)",
        "probability_mass_changes_by_the_divergence_of_the_current",
    ),
    _equation(
        "np.cumsum(np.log(to_right / to_left))",
        "np.cumsum(np.log(to_left / to_right))",
        "example_5_6_converges_to_the_gaussian_of_its_temperature",
    ),
    _equation(
        "off_diagonal = -np.sqrt(to_left[1:-1] * to_right[1:-1])",
        "off_diagonal = -to_left[1:-1]",
        "eigenmodes_on_a_gaussian_relax_at_n_over_its_variance[1.0]",
    ),
    _equation(
        "to_right[1:] + to_left[:-1], off_diagonal",
        "to_right[:-1] + to_left[1:], off_diagonal",
        "eigenmodes_on_a_gaussian_relax_at_n_over_its_variance[1.0]",
    ),
    _equation("rel_entr(p, distribution).sum()", "rel_entr(distribution, p).sum()", "relative_entropy_decreases_at_its_dissipation_rate"),
    _equation("/ 2 * slope**2).sum()", "* slope**2).sum()", "relative_entropy_decreases_at_its_dissipation_rate"),
    _equation("damped = 2", "damped = 0", "a_point_mass_spreads_without_oscillation_at_any_time_step[0.1]"),
    _equation(
        "self._crank_nicolson(p, 2 * dt)", "self._crank_nicolson(p, dt)", "an_oscillating_step_is_replaced_by_two_implicit_half_steps"
    ),
    _equation("np.exp(-k * w**2 * t)", "np.exp(-k / 2 * w**2 * t)", "heat_equation_waves_decay_with_the_squared_wave_number"),
    _equation(
        "np.abs(((slope - self.D1) * self.dx)[self.open_faces] / self.D2[self.open_faces]).max()",
        "np.abs(self.D1 * self.dx).max() / 2",
        "invalid_equations_are_refused_in_one_line",
    ),
    _equation("full(drift, on_y, 1)", "full(drift, on_y, 0)", "two_ornstein_uhlenbeck_processes_stay_independent_in_2d"),
    _equation("full(diffusion, on_y, 1)", "full(diffusion, on_y, 0)", "two_ornstein_uhlenbeck_processes_stay_independent_in_2d"),
    # Langevin's equations
    _langevin("* (q / h) ** 0.5", "* 1.0", "white_noise_over_a_step_has_variance_q_over_h"),  # E13b
    _langevin("steps = h * white_noise", "steps = white_noise", "wiener_paths_have_the_variance_q_t_and_independent_increments"),
    _langevin(
        "path.append(a * path[-1] + deviation * z[:, i])",
        "path.append(a * path[-1] + deviation * z[:, 0])",
        "the_linear_equation_is_exact_for_any_step[0.5]",
    ),
    _langevin("x0 * np.exp(-gamma * t) + quad", "np.exp(-gamma * t) + quad", "a_forced_mean_solves_its_equation"),
    _langevin(
        "q / (gamma**2 + np.square(omega))", "q / (gamma + np.square(omega))", "the_spectral_density_is_the_transform_of_the_autocovariance"
    ),
    _langevin("factorial2(2 * n - 1)", "factorial2(2 * n)", "moments_and_characteristic_function_of_the_stationary_gaussian"),
    _langevin("q / (4 * gamma))", "q / (2 * gamma))", "moments_and_characteristic_function_of_the_stationary_gaussian"),
    _langevin("q / gamma**3 * (np.expm1", "q / gamma**2 * (np.expm1", "a_brownian_particle_is_ballistic_early_and_diffusive_late"),
    _langevin(
        "return A, A @ block[:d, d:]", "return A, block[:d, d:]", "exact_multivariate_steps_compose_and_keep_the_stationary_distribution"
    ),
    _langevin(
        "return lambda x: h(x) + g(x) * g_derivative(x), lambda", "return lambda x: h(x), lambda", "coefficients_match_stratonovich"
    ),  # E15
    _langevin("lambda x: g(x) ** 2", "lambda x: g(x) ** 2 / 2", "coefficients_match_stratonovich"),
    _langevin("2**0.5 * g(x), grid", "g(x), grid", "ito_and_stratonovich_noise_have_different_means[ito-0.36787944117144233]"),  # E15
    # the master equation
    _master("return W - np.diag(W.sum(axis=0))", "return W - np.diag(W.sum(axis=1))", "probability_is_conserved_and_stays_positive"),
    _master("limit = W12 / (W12 + W21)", "limit = W21 / (W12 + W21)", "two_states_relax_at_the_sum_of_their_rates"),
    _master(
        "np.sqrt(np.asarray(p)[:, None] / p)",
        "np.sqrt(p / np.asarray(p)[:, None])",
        "detailed_balance_has_zero_currents_and_real_eigenvalues",
    ),
    _master("return later @ earlier * dx", "return later @ earlier", "two_short_steps_equal_one_long_step[wiener]"),
    _master("np.log(u[:, 0]) / leaving[states]", "np.log(u[:, 0])", "simulated_jumps_have_the_distribution_of_the_master_equation"),
    _master(
        "u = uniform(seed, sample, step,",
        "u = uniform(seed, sample, step // 2,",
        "simulated_jumps_have_the_distribution_of_the_master_equation",
    ),
    # Kramers and Moyal's expansion
    _expansion(
        "(y - x) ** m / (factorial(m) * tau)",
        "(y - x) ** m / (factorial(m) ** 2 * tau)",  # E14b
        "estimates_from_trajectories_equal_the_finite_lag_values",
    ),
    _expansion(
        "gaussian_moment(x * (a - 1), deviation, m)",
        "gaussian_moment(x * a, deviation, m)",
        "limits_of_the_ornstein_uhlenbeck_coefficients[2.0]",
    ),
    _expansion("factorial2(k - 1) if k", "factorial2(k) if k", "moments_of_a_gaussian"),
    _expansion(
        "return rate * moment(m) / factorial(m)", "return rate * moment(m)", "jump_processes_have_all_kramers_moyal_coefficients[4]"
    ),
    _expansion("apart = 1 if m % 2 else 2", "apart = 1", "pawula_inequalities_are_strict_for_jump_processes"),
    _expansion(
        "{m: factorial(m) * value for m, value in D.items()}",
        "dict(D)",  # E14c
        "pawula_inequalities_are_strict_for_jump_processes",
    ),
)
