"""Training and sampling with arrays on a device: the same bits, and no copies to the host on the way."""

from types import SimpleNamespace

import numpy as np
import pytest

from accelerated.computations import IMAGES, SCORE_SAMPLERS, TRAINING_RUNS, method_of_sampler, training_of
from accelerated.gpu.simulator import arrays as simulated
from accelerated.trace import trace
from reference import ops
from reference.commands.sampler_options import parse_sampler_options
from reference.commands.train import continue_training
from reference.data import datasets
from reference.diffusion import training
from reference.diffusion.denoiser import Denoiser
from reference.diffusion.loss_weights import LOSS_WEIGHTS
from reference.diffusion.schedules import geometric, linear
from reference.networks import MLP
from reference.runs.config import build_config
from reference.runs.devices import DEFAULTS, Port, has_hook, hook, prepare, read_loss, to_device, to_host, train
from reference.runs.evaluation import losses
from reference.runs.run import new_run
from reference.runs.sampler_options import sampler_options
from reference.runs.sampling import draw
from reference.sde.flow import TIMES
from tests import device_port
from tests.example_networks import random_parameters

# The first step of learned variances uses another formula and reads which samples need it; consistency models check the noise levels
# that they draw, and on an SDE find their times by bisection.
LOOKS = {"learned variances", "consistency training", "consistency distillation"}


def states(name, port):
    batch = 4 if TRAINING_RUNS[name][1]["data"] == IMAGES["data"] else 16
    model, x, labels, settings = training_of(name, np.float32, batch)
    return train(model, x, labels, settings, training.init_state(model.network, 0), 5, port)


def on_device(value):
    return isinstance(value, simulated.ndarray)


@pytest.mark.parametrize("name", TRAINING_RUNS)
def test_training_on_a_device_has_the_same_bits_and_no_host_copies(name):
    here, there = states(name, ops), states(name, device_port)
    next(here), next(there)
    before = simulated.copies
    one, other = next(here), next(there)
    assert simulated.copies == before or name in LOOKS
    assert on_device(other.loss) and all(map(on_device, other.params.values()))
    assert float(other.loss) == one.loss
    for field in ("params", "ema", "m", "v"):
        assert all(
            np.array_equal(getattr(one, field)[key], array) for key, array in to_host(dict(getattr(other, field)), device_port).items()
        )


def test_a_model_trained_on_a_device_is_evaluated_and_traced_on_the_host(tmp_path):
    data = datasets.load_dataset("mixture2d", 0)
    run = new_run(tmp_path, build_config("ddpm", data, {"data": "mixture2d", "width": 8, "depth": 2, "steps": 2}))
    assert continue_training(run, data, 1, device_port) == 0
    assert not any(map(on_device, run.state.params.values())) and np.shares_memory(run.state.params.flat, run.state.params["layers.0.w"])
    assert np.isfinite(losses(run, data, device_port)["loss"])
    assert trace(run, device_port, data).first_mismatch() is None


@pytest.mark.parametrize("schedule", [linear(10), geometric(10)])
def test_a_prepared_schedule_also_takes_times_on_the_device(schedule):
    prepared = prepare(Denoiser(MLP(size=(2,)), schedule), device_port).schedule
    times = np.array([1, 10])
    on_host, there = prepared.signal(times), prepared.noise_scale(to_device(times, device_port))
    assert isinstance(prepared, type(schedule)) and on_device(there)
    assert np.array_equal(on_host, schedule.signal(times)) and np.array_equal(there.get(), schedule.noise_scale(times))
    with pytest.raises(ValueError, match="whole number"):
        prepared.signal(11)


def run_of(folder, system):
    data = datasets.load_dataset("mixture2d", 0)
    run = new_run(folder, build_config(system, data, {"data": "mixture2d", "width": 8, "depth": 2}))
    run.state.ema = {name: array.astype(np.float32) for name, array in random_parameters(run.model.network).items()}
    return run


untrained = pytest.mark.filterwarnings("ignore::reference.samplers.SamplingWarning")
every_sampler = pytest.mark.parametrize(
    "system, sampler",
    [*((method_of_sampler(name), name) for name in SCORE_SAMPLERS), ("indi", "indi"), ("vae", "decoder")],
)


def chosen(run, sampler):
    own = {"steps": None} if sampler in ("ode-rk45", "decoder") else {"steps": 5}
    return parse_sampler_options(run, SimpleNamespace(sampler=sampler, seed=3, **own))


@untrained
@every_sampler
def test_a_sampler_reports_its_number_of_network_evaluations(system, sampler, tmp_path, monkeypatch):
    run, asked = run_of(tmp_path, system), []
    kind = type(run.model.network)
    forward = getattr(kind, "forward", None)  # an autoencoder has two parts
    monkeypatch.setattr(kind, "forward", lambda *args, **how: (asked.append(None), forward(*args, **how))[1], raising=False)
    assert draw(run, ops, 5, **chosen(run, sampler))[1] == (len(asked) or None)


@untrained
@every_sampler
def test_samples_on_a_device_have_the_same_bits_and_are_copied_twice(system, sampler, tmp_path):
    run = run_of(tmp_path, system)
    how = chosen(run, sampler)
    here, before = draw(run, ops, 5, **how)[0], simulated.copies
    there = draw(run, device_port, 5, **how)[0]
    assert np.array_equal(here, there)
    # indi copies the measurements from the host; the others read their last prediction of x_0
    copies = 1 if sampler in ("decoder", "consistency") else 2
    assert simulated.copies - before == copies or sampler == "ode-rk45"  # SciPy's


def classes_run(folder, method="ddpm"):
    data = datasets.load_dataset("mixture2d", 0)
    run = new_run(folder, build_config(method, data, {"data": "mixture2d", "width": 8, "depth": 2, "batch": 16, "classes": True}))
    run.state.ema = {name: array.astype(np.float32) for name, array in random_parameters(run.model.network).items()}
    return run, data


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("loss_weight", LOSS_WEIGHTS)
def test_training_a_flow_on_a_device_has_the_same_bits(times, loss_weight, tmp_path):
    options = {"data": "mixture2d", "width": 8, "depth": 2, "batch": 16, "times": times, "loss_weight": loss_weight, "prediction": "F"}
    assert_trains_alike(new_run(tmp_path, build_config("flow", datasets.load_dataset("mixture2d", 0), options)))


def assert_trains_alike(run):
    """Four steps on the host and on the device end in the same bits."""
    data, ends = run.data, []
    for port in (ops, device_port):
        state = training.init_state(run.model.network, 0)
        *_, end = train(run.model, data.train, data.train_labels, run.settings, state, 4, port)
        ends.append(to_host(dict(end.params), device_port))
    assert all(np.array_equal(array, ends[1][name]) for name, array in ends[0].items())


@pytest.mark.parametrize("method", ["ddpm", "sde", "indi"])
def test_training_on_classes_on_a_device_has_the_same_bits(method, tmp_path):
    assert_trains_alike(classes_run(tmp_path, method)[0])


@untrained
@pytest.mark.parametrize("sampler", ["ddim", "dpm-solver++", "predictor-corrector"])
@pytest.mark.parametrize("options", [{}, {"label": 3, "guidance": 2.0}, {"guidance": 2.0, "guidance_interval": [0.2, 2.0]}])
def test_guided_samples_on_a_device_have_the_same_bits(sampler, options, tmp_path):
    run, _ = classes_run(tmp_path)
    how = sampler_options(run, sampler, 3, steps=5, **options)
    here, there = (draw(run, port, 5, **how)[0] for port in (ops, device_port))
    assert np.array_equal(here, there)


def test_a_non_finite_loss_is_reported_when_the_device_is_read():
    running = states("sde", device_port)
    state = next(running)
    state.params.flat[...] = np.inf
    state = next(running)
    try:
        read_loss(state)
        error = "none"
    except FloatingPointError as raised:
        error = str(raised)
    assert "not finite at step 2" in error


def test_device_arrays_and_host_arrays_do_not_mix():
    x = to_device(np.ones(3), device_port)
    for mixed in (lambda: x + np.ones(3), lambda: np.ones(3) * x, lambda: np.asarray(x), lambda: x.__setitem__(0, np.ones(3))):
        with pytest.raises(TypeError, match="device"):
            mixed()


def test_a_port_without_hooks_has_defaults_that_change_nothing():
    assert set(DEFAULTS) == {name for name in vars(Port) if callable(getattr(Port, name)) and not name.startswith("_")}
    x = np.ones(3)
    assert to_device({"x": x, "none": None}, ops) == {"x": x, "none": None} == to_host({"x": x, "none": None}, ops)
    assert hook(ops, "missing")() is None and hook(ops, "environment")() == {} and hook(ops, "synchronize")() is None
    assert hook(ops, "compile_all")(networks_only=True) is None and hook(ops, "set_threads")(2) is None
    assert not any(has_hook(ops, name) for name in DEFAULTS)


def test_a_trained_state_is_moved_back_and_can_be_trained_on():
    one, other = ([*states("sde", port)][-1] for port in (ops, device_port))
    for field in ("params", "ema", "m", "v"):
        here, there = getattr(one, field), getattr(other, field)
        assert not on_device(there.flat) and np.array_equal(here.flat, there.flat)
