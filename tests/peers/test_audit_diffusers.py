"""The audit of schedulers of diffusers."""

import json
from itertools import pairwise

import numpy as np
import pytest

from reference.audit.adapters import diffusers_settings as settings
from reference.audit.adapters import targets
from reference.audit.audit import audit
from reference.audit.target import TargetError
from reference.commands.cli import main

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[peers]'")
library = pytest.importorskip("diffusers", reason="diffusers is not installed: pip install -e '.[peers]'")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def report_on(name, steps=30, **options):
    (target,) = targets.find(f"diffusers:{name}", options, 60.0)
    return audit(target, steps)


def line(report, name):
    return next(check for check in report.checks if check.name == name)


def test_ddim_on_a_linspace_grid_takes_the_wrong_previous_time(tmp_path):
    path = tmp_path / "A.json"
    words = ["--option", "timestep_spacing=linspace", "--steps", "30", "--json", str(path)]
    assert main(arguments=["audit", "diffusers:DDIMScheduler", *words]) == 1
    report = json.loads(path.read_text())
    (mean,) = (check for check in report["checks"] if check["name"] == "step mean")
    assert mean["verdict"] == "fault"
    alpha_bar = library.DDIMScheduler().alphas_cumprod.double().numpy()
    for row in mean["details"]:
        stride = int(row["t"]) - 1000 // 30
        assert row["expected x_0"] == pytest.approx(alpha_bar[int(row["t_prev"])] ** 0.5, rel=1e-6)
        assert row["came x_0"] == pytest.approx(alpha_bar[stride] ** 0.5, rel=1e-5)
        assert row["level"] == f"the level of t = {stride}"
    grid = np.linspace(0, 999, 30).round()[::-1].astype(int)
    wrong = [int(t) for t, t_prev in pairwise(grid) if t - 33 != t_prev]
    # in the last step of the grid, from 34 to 0, the two levels differ by less than float32 tells
    assert [row["t"] for row in mean["details"]] == wrong[:-1] and len(wrong) == 29


def test_ddim_on_a_trailing_grid_of_a_divisor_of_T_has_right_steps_and_levels():
    report = report_on("DDIMScheduler", steps=50, timestep_spacing="trailing")
    for name in ("step mean", "step variance", "last step", "sample levels", "sample last step"):
        assert line(report, name).verdict == "right", line(report, name)


def test_a_trailing_grid_of_61_steps_has_a_negative_time():
    report = report_on("DDPMScheduler", steps=50, timestep_spacing="trailing")
    assert "n = 61" in line(report, "timesteps of 1 to T steps").came


def test_add_noise_of_a_new_dpm_solver_is_reversed():
    check = line(report_on("DPMSolverMultistepScheduler"), "add_noise coefficients")
    assert check.verdict == "fault"
    alpha_bar = library.DPMSolverMultistepScheduler().alphas_cumprod.double().numpy()
    for row in check.details:
        assert row["came"][0] == pytest.approx(alpha_bar[999 - int(row["t"])] ** 0.5, rel=1e-5)


def test_the_defaults_of_these_schedulers_have_no_fault_but_in_float16():
    for name in (
        "DDPMScheduler",
        "EulerAncestralDiscreteScheduler",
        "HeunDiscreteScheduler",
        "FlowMatchEulerDiscreteScheduler",
        "EDMEulerScheduler",
    ):
        found = [check for check in report_on(name).faults if "float16" not in check.name]
        assert not found, (name, found)


def test_the_velocity_of_euler_is_that_of_the_reversed_time():
    check = line(report_on("EulerDiscreteScheduler"), "velocity")
    assert check.verdict == "fault"
    alpha_bar = library.EulerDiscreteScheduler().alphas_cumprod.double().numpy()
    for row in check.details:
        assert row["came"][1] == pytest.approx(alpha_bar[999 - int(row["t"])] ** 0.5, rel=1e-5)


@pytest.mark.parametrize(
    "name, options, sentence",
    [
        ("DDIMScheduler", {"spacing": "linspace"}, "has the options"),
        ("DDIMScheduler", {"timestep_spacing": "line"}, "line"),
        ("DDIM", {}, "diffusers has the schedulers"),
        ("all", {"eta": 1.0}, "takes no --option"),
        ("EulerDiscreteScheduler", {"use_karras_sigmas": True, "use_beta_sigmas": True}, "Only one of"),
    ],
)
def test_a_wrong_name_or_option_is_refused_in_a_sentence(name, options, sentence):
    with pytest.raises(TargetError, match=sentence) as caught:
        targets.find(f"diffusers:{name}", options, 60.0)
    assert "\n" not in str(caught.value)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "diffusers", None)
    with pytest.raises(TargetError, match=r"diffusers is not installed: pip install diffusers torch"):
        targets.find("diffusers:DDIMScheduler", {}, 60.0)


def test_all_has_every_scheduler_class_once_or_more():
    found = targets.find("diffusers:all", {}, 60.0)
    classes = {target.name.removeprefix("diffusers:").split()[0] for target in found}
    assert classes == {name for name in dir(library) if name.endswith("Scheduler")}
    left_out = {target.name.removeprefix("diffusers:") for target in found if target.not_examined}
    assert left_out >= {name for name in settings.NOT_EXAMINED if name in classes}
    assert all(target.facts["versions"]["diffusers"] == library.__version__ for target in found)
