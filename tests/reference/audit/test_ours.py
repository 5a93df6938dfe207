"""This project's samplers are right by the audit, and their conventions are the ones of reference/README.md."""

import json

import pytest

from reference.audit.adapters import targets
from reference.audit.adapters.ours import NAMES
from reference.audit.audit import audit
from reference.audit.target import TargetError
from reference.runs.sampler_options import SAMPLERS
from tests.command_runs import run

OPTIONS = [  # sampler, options, steps
    *((name, {}, 10) for name in NAMES),
    ("ddpm", {"schedule": "cosine", "variance": "beta"}, 10),
    ("ddpm", {"schedule": "scaled-linear", "prediction": "x0", "T": 200}, 10),
    ("ddim", {"eta": 0.5, "prediction": "v"}, 10),
    ("ddim", {"schedule": "vp", "eta": 1.0}, 7),
    ("ddim", {"schedule": "linear", "zero_terminal_snr": True}, 10),
    ("dpm-solver++", {"sde": "ve", "grid": "karras"}, 10),
    ("ode-heun", {"sde": "subvp", "prediction": "x0"}, 10),
    ("euler-maruyama", {"reverse_noise": 0.0}, 10),
    ("edm", {"prediction": "noise", "sigma_max": 10.0}, 10),
    ("edm", {"churn": 5.0}, 10),
    ("edm", {"churn": 30.0, "churn_interval": [0.05, 20.0]}, 10),
    ("sde-dpm-solver++", {"sde": "ve", "prediction": "x0"}, 10),
    ("sde-dpm-solver++", {"reverse_noise": 0.0}, 10),
]


def report_on(name, options, steps):
    (target,) = targets.find(f"reference:{name}", options, 60.0)
    return audit(target, steps)


def words(name, options, steps):
    return "-".join([name, *(f"{key}={value}" for key, value in options.items())])


@pytest.mark.parametrize("case", OPTIONS, ids=lambda case: words(*case))
def test_our_samplers_have_no_fault(case):
    faults = report_on(*case).faults
    assert not faults, [(check.name, check.expected, check.came) for check in faults]


@pytest.mark.parametrize("name", ["ddpm", "ddim"])
def test_the_conventions_of_our_chains_are_recognised(name):
    found = {row.name: row.target for row in report_on(name, {}, 10).conventions}
    wanted = {"time": "1-based", "form of x": "variance preserving", "grid of timesteps": "trailing", "prediction": "noise"}
    assert {key: found.get(key) for key in wanted} == wanted


def test_our_chain_is_recognised_without_its_claims():
    (target,) = targets.find("reference:ddpm", {"prediction": "v", "schedule": "cosine"}, 60.0)
    target.claims = {}
    report = audit(target, 10)
    found = {row.name: row.target for row in report.conventions}
    wanted = {
        "time": "1-based",
        "grid of timesteps": "trailing",
        "prediction": "v",
        "schedule": "cosine",
        "variance of a step": "posterior",
    }
    assert not report.faults and {key: found.get(key) for key in wanted} == wanted


def test_every_sampler_from_noise_to_data_is_a_target():
    assert set(SAMPLERS) - set(NAMES) == {"langevin", "decoder", "consistency"}
    assert [target.name for target in targets.find("reference:all", {}, 60.0)] == [f"reference:{name}" for name in NAMES]


BAD = {
    "reference:euler": "reference has the samplers ddpm, ddim",
    "reference:ddim --option etta=1": "reference:ddim has the options schedule, T, prediction, eta",
    "reference:ddim --option schedule=quadratic": "schedule must be one of constant, linear",
    "reference:ddpm --option prediction=score": "prediction must be one of noise, x0, v, velocity, got 'score'",
    "reference:ddpm --option prediction=F": "prediction must be one of noise, x0, v, velocity, got 'F'",
    "reference:ddpm --option T=0": "T must be a whole number from 1 on, got 0",
    "reference:ode-euler --option sde=vq": "sde must be one of vp, ve, subvp, got 'vq'",
    "reference:ode-euler --option tolerance=1": "tolerance is not one of its options",
    "reference:edm --option churn=-1": "reference:edm: churn must be finite and not negative, got -1",
    "reference:edm --option churn_interval=[3,2]": "churn-interval must be a low and a higher noise level, got 3 2",
}


@pytest.mark.parametrize("line, message", BAD.items())
def test_a_bad_option_is_refused_in_one_sentence(line, message, capsys):
    assert run("audit", *line.split()) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


def test_a_target_error_names_the_target():
    with pytest.raises(TargetError, match=r"^reference:ddim: a schedule with zero terminal SNR needs T"):
        targets.find("reference:ddim", {"T": 1, "zero_terminal_snr": True}, 60.0)


def test_the_command_writes_a_report_on_each_target(tmp_path, capsys):
    path = tmp_path / "report.json"
    assert run("audit", "reference:ddim", "--option", "T=100", "--steps", 5, "--json", path) == 0
    report = json.loads(path.read_text())
    assert report["target"] == "reference:ddim" and report["faults"] == 0
    assert "0 fault" in capsys.readouterr().out
