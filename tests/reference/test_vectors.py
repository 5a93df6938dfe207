"""The command ``vectors``: its files cover the contract, are complete for a port, and distinguish right from wrong ports."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from reference import ops
from reference.commands.cli import main
from reference.conformance import test_vectors
from reference.conformance.call import IN_PLACE_ARGUMENTS, call_op
from reference.conformance.contract import OPS
from reference.conformance.tolerances import FLOAT64_FROM_FLOAT32
from reference.networks import MLP, UNet
from reference.ops import Key
from tests.meta.faulty_ops import FAULTS, FAULTS_AT_LARGE_SIZES

NAMES = {"vectors.json", "vectors.safetensors", "README.md"}
READER = Path(__file__).parents[1] / "vectors_reader.c"
COMPILER = shutil.which("cc") or shutil.which("gcc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors") / "new"
    assert main(["test-vectors", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def written(folder):
    """(content of vectors.json, tensors by name)."""
    return json.loads((folder / "vectors.json").read_text()), load_file(folder / "vectors.safetensors")


# A reader based only on README.md in the folder and the names of the ops


def argument(word, value, tensors):
    match value:
        case {"tensor": name}:
            return tensors[name]
        case {"seed": _}:
            return Key(*(argument(field, value[field], tensors) for field in Key._fields))
        case [{"tensor": _}, *_]:
            return [tensors[part["tensor"]] for part in value]
    return {"shape": tuple, "dtype": np.dtype, "seed": int}.get(word, lambda value: value)(value)


def arguments(case, order, tensors):
    return tuple(argument(word, case["arguments"][word], tensors) for word in order)


def wrong(case, results, tensors):
    """The results, by name, that fail a check."""
    found = []
    for word, expected in case["results"].items():
        got = results[word]
        if expected is None or got is None:
            found += [] if got is expected else [word]
            continue
        exact = tensors[expected["tensor"]]
        if got.dtype != case["dtype"] or got.shape != exact.shape:
            found.append(word)
            continue
        error = np.abs(got.astype(np.float64) - exact)
        bound = np.array(expected.get("largest entry", [np.inf]))
        by_entry = error <= (bound[0] if len(bound) == 1 else bound.reshape(-1, *[1] * (error.ndim - 1)))
        if not (by_entry.all() and np.sqrt(np.mean(error**2)) <= expected.get("rms", np.inf)):
            found.append(word)
    return found


def wrong_cases(written, name, function):
    facts, tensors = written
    order, names = facts["ops"][name]["arguments"], facts["ops"][name]["results"]
    found = {}
    for case in facts["cases"]:
        if case["op"] == name:
            results = call_op(name, function, arguments(case, order, tensors))
            found[case["case"]] = wrong(case, dict(zip(names, results, strict=True)), tensors)
    return {case for case, words in found.items() if words}


# Ops.


def test_every_op_has_cases_in_both_dtypes_with_every_result_checked(written):
    facts, tensors = written
    cases = [case for case in facts["cases"] if case["op"] in OPS]
    dtypes = {name: {case["dtype"] for case in cases if case["op"] == name} for name in OPS}
    assert dtypes == {name: {"float32", "float64"} for name in OPS} | {"philox_bits": {"uint32"}}
    for case in cases:
        op = OPS[case["op"]]
        checks = {
            "product": {"largest entry", "rms"},
            "general": {"largest entry", "rms"},
            "copy": {"largest entry"},
            "bits": {"largest entry"},
        }
        for word, result in case["results"].items():
            assert result is None or result.keys() == {"tensor"} | checks[op.rule], f"{case['case']}: {word}"
        ones = [tensors[a["tensor"]].dtype for a in case["arguments"].values() if isinstance(a, dict) and "tensor" in a]
        assert all(dtype == case["dtype"] or dtype.kind in "iub" for dtype in ones), case["case"]
    assert len({case["case"] for case in facts["cases"]}) == len(facts["cases"])


def test_float64_bounds_are_float32_bounds_times_one_factor(written):
    bounds = {
        (case["case"], word, check): result[check]
        for case in written[0]["cases"]
        for word, result in case["results"].items()
        for check in set(result or ()) - {"tensor"}
    }
    for (case, word, check), bound in bounds.items():
        if ".float32." in case:
            double = bounds[case.replace("float32", "float64"), word, check]
            assert np.array_equal(double, np.array(bound) * FLOAT64_FROM_FLOAT32), f"{case}: {word}"


def test_all_options_of_an_op_occur(written):
    facts, tensors = written
    of = lambda name: [arguments(case, facts["ops"][name]["arguments"], tensors) for case in facts["cases"] if case["op"] == name]
    convolutions = {(len(w), stride, None if add is None else add.shape[1] == add.shape[2] == 1) for _, w, _, stride, add in of("conv2d")}
    assert {(3, 1), (3, 2), (1, 1), (1, 2)} == {(k, stride) for k, stride, _ in convolutions}
    assert {None, True, False} == {add for *_, add in convolutions}
    assert any(x.shape[1] > x.shape[2] for x, *_ in of("conv2d")) and any(x.shape[1] < x.shape[2] for x, *_ in of("conv2d"))
    assert {b is None for _, _, b in of("linear")} == {True, False}
    for name in ("add_noise", "reverse_step"):
        assert {Key, np.ndarray} <= {type(call[-1]) for call in of(name)} and {float, np.ndarray} <= {type(call[2]) for call in of(name)}
    assert any(c == 0 and noise is None for *_, c, noise in of("reverse_step") if isinstance(c, float))
    assert {covariances.ndim for *_, covariances in of("mixture_score")} == {1, 3}
    assert {call[-1] for call in of("fokker_planck_step")} == {True, False}
    for name in ("attention", "attention_backward"):
        assert {type(call[-1]) for call in of(name)} == {type(None), np.ndarray}


@pytest.mark.parametrize("name", OPS)
def test_a_correct_port_passes_the_test_vectors(written, name):
    assert not wrong_cases(written, name, getattr(ops, name))


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "buffer handed out twice"])  # two calls are necessary
def test_a_planted_fault_fails_the_test_vectors(written, fault):
    name, function = FAULTS[fault]
    assert wrong_cases(written, name, function)


@pytest.mark.parametrize(
    "fault",
    [
        *["linear beyond column 4,095", "conv2d of more than 64 channels", "conv2d beyond channel 127", "silu from entry 65,536 on"],
        *["silu_backward from entry 65,536 on", "attention of more than 128 keys", "philox_bits beyond block 65,535"],
        *["softmax of more than 1,024 entries", "fokker_planck_step of more than 1,024 cells"],
    ],
)
def test_a_planted_fault_at_large_sizes_fails_the_test_vectors(written, fault):
    name, function = FAULTS_AT_LARGE_SIZES[fault]
    assert wrong_cases(written, name, function)


@pytest.mark.parametrize("name", OPS)
def test_results_of_the_opposite_sign_fail_every_case(written, name):
    facts, _ = written

    def negated(*args):
        results = getattr(ops, name)(*args)
        turned = lambda result: None if result is None else np.asarray(~result if result.dtype.kind == "u" else -result - 1)
        return tuple(map(turned, results)) if isinstance(results, tuple) else turned(results)

    def negated_in_place(*args):
        getattr(ops, name)(*args)
        for position in IN_PLACE_ARGUMENTS[name]:
            args[position][...] = -args[position] - 1

    found = wrong_cases(written, name, negated_in_place if name in IN_PLACE_ARGUMENTS else negated)
    assert found == {case["case"] for case in facts["cases"] if case["op"] == name}


def test_json_numbers_are_exact_and_finite(folder):
    def numbers(value):
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        return [value] if isinstance(value, (int, float)) else [number for part in parts for number in numbers(part)]

    facts = json.loads((folder / "vectors.json").read_text())
    assert all(abs(number) < 2**53 for number in numbers(facts["cases"]))
    assert "18446744073709551615" in {case["arguments"]["seed"] for case in facts["cases"] if case["op"] == "philox_bits"}
    assert all(np.isfinite(tensor).all() for tensor in load_file(folder / "vectors.safetensors").values())


def test_every_case_is_one_line_and_every_tensor_belongs_to_a_case(folder, written):
    facts, tensors = written
    lines = (folder / "vectors.json").read_text().splitlines()
    first, last = (
        next(n for n, line in enumerate(lines) if test(line)) for test in (lambda s: s.endswith("["), lambda s: s.startswith("]"))
    )
    assert [json.loads(line.rstrip(",")) for line in lines[first + 1 : last]] == facts["cases"]
    cases = {case["case"] for case in facts["cases"]}
    assert {".".join(name.split(".")[:3]) for name in tensors} == cases


# The training step as a port would compute it


def training_step(case, tensors):
    given = {word: argument(word, value, tensors) for word, value in case["arguments"].items()}
    part = lambda prefix: {word.removeprefix(prefix): value.copy() for word, value in given.items() if word.startswith(prefix)}
    weights, average, m, v = map(part, ("weights/", "ema/", "adam/m/", "adam/v/"))
    a = SimpleNamespace(**{word: value for word, value in given.items() if "/" not in word})
    sizes = {word: tuple(value) if isinstance(value, list) else value for word, value in a.network.items()}
    network = (MLP if "depth" in sizes else UNet)(**sizes)

    x = ops.add_noise(a.x0, a.signal, a.noise_scale, a.noise)
    prediction, saved = network.forward(weights, x * a.input_scale.reshape(-1, *[1] * (x.ndim - 1)), a.c)
    loss, per_sample = ops.mse(prediction, a.noise)
    _, gradients = network.backward(weights, ops.mse_backward(np.full_like(per_sample, 1 / len(x)), prediction, a.noise), saved)
    norm = ops.global_norm(list(gradients.values()))
    for word, p in weights.items():
        ops.adam_step_(p, gradients[word], m[word], v[word], a.step, a.lr, a.beta1, a.beta2, a.eps)
        ops.ema_step_(average[word], p, a.decay)
    results = {"x": x, "prediction": prediction, "loss": loss, "per_sample": per_sample, "gradient_norm": norm}
    for prefix, arrays in {"gradients": gradients, "weights": weights, "ema": average, "adam/m": m, "adam/v": v}.items():
        results |= {f"{prefix}/{word}": array for word, array in arrays.items()}
    return results


def training_cases(written):
    return [case for case in written[0]["cases"] if case["op"] in test_vectors.NETWORKS]


def test_a_training_step_from_the_file_passes_with_every_result_checked(written):
    cases = training_cases(written)
    assert {(case["op"], case["dtype"]) for case in cases} == {(name, d) for name in test_vectors.NETWORKS for d in ("float32", "float64")}
    for case in cases:
        assert all(result.keys() == {"tensor", "rms"} for result in case["results"].values())
        results = training_step(case, written[1])
        assert results.keys() == case["results"].keys() and not wrong(case, results, written[1])


def test_draws_of_the_training_step_follow_from_its_seed_and_step(written):
    for case in training_cases(written):
        given = {word: argument(word, value, written[1]) for word, value in case["arguments"].items()}
        u = ops.uniform(0, np.arange(4), given["step"], ops.Purpose.TIME, (), np.float64)
        assert np.array_equal(given["t"], 1 + np.floor(1000 * u)) and np.array_equal(given["c"], given["t"])
        noise = ops.normal(0, np.arange(4), given["step"], ops.Purpose.TRAINING_NOISE, given["x0"].shape[1:], np.dtype(np.float32))
        assert np.array_equal(given["noise"], noise)


@pytest.mark.parametrize("word", ["step", "lr", "beta1", "beta2", "decay", "noise", "input_scale", "c"])
def test_a_training_step_with_a_changed_number_fails(written, word):
    _, tensors = written
    for case in training_cases(written):
        value = case["arguments"][word]
        if isinstance(value, dict):
            changed, others = value, tensors | {value["tensor"]: tensors[value["tensor"]] * np.float32(1.01)}
        else:
            changed, others = (value + 1 if word == "step" else value * 0.9), tensors
        assert wrong(case, training_step(case | {"arguments": case["arguments"] | {word: changed}}, others), tensors), case["case"]


# Files.


def test_the_files_are_small_and_describe_themselves(folder, capsys):
    assert {path.name for path in folder.iterdir()} == NAMES
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert sum(sizes.values()) < 12e6 and all(size > 1000 for size in sizes.values())
    assert (folder / "README.md").read_text().startswith("# Test vectors\n\n")


def test_another_process_writes_the_same_bytes_and_prints_the_folder(folder, tmp_path):
    command = [sys.executable, "-m", "accelerated", "test-vectors", "--port", "reference.ops", "--out", "deep/again"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONHASHSEED": "7"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    for name in NAMES:
        assert (tmp_path / "deep" / "again" / name).read_bytes() == (folder / name).read_bytes(), name
        assert f"wrote deep/again/{name}" in done.stdout


@pytest.mark.parametrize(
    "out, message",
    [
        ("taken", "taken exists already and is not empty: name another --out, or remove it first"),
        ("taken/file", "taken/file can't be written"),
        ("taken/file/below", "taken/file/below can't be written"),
        ("", "out must not be empty"),
    ],
)
def test_an_existing_or_invalid_output_folder_is_refused_in_one_line(out, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")
    assert main(["test-vectors", "--out", out]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and captured.out == ""
    assert [path.name for path in tmp_path.rglob("*")] == ["taken", "file"] and (tmp_path / "taken" / "file").read_text() == "mine"


# Without Python.


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    if not COMPILER:
        pytest.skip("there is no C compiler: neither cc nor gcc")
    program = tmp_path_factory.mktemp("reader") / "reader"
    subprocess.run([COMPILER, "-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", READER, "-o", program, "-lm"], check=True)
    return program


def read_in_c(reader, folder):
    done = subprocess.run([reader, folder], capture_output=True, text=True)
    return done.returncode, done.stdout


def test_a_reader_in_c_passes_linear_and_philox_bits(reader, folder, written):
    count = sum(case["op"] in ("linear", "philox_bits") for case in written[0]["cases"])
    assert read_in_c(reader, folder) == (0, f"{count} cases, 0 wrong\n")


@pytest.mark.parametrize(
    "name",
    [
        "linear.float32.0.results.y",
        "linear.float64.1.results.y",
        "linear.float32.1.arguments.x",
        "linear.float64.0.arguments.b",
        "philox_bits.uint32.0.results.bits",
        "philox_bits.uint32.1.arguments.sample",
    ],
)
def test_a_reader_in_c_names_the_op_of_a_tensor_that_was_altered(reader, folder, written, name, tmp_path):
    altered = dict(written[1])
    altered[name] = altered[name].copy()
    altered[name].flat[-1] += 1
    shutil.copy(folder / "vectors.json", tmp_path)
    save_file(altered, tmp_path / "vectors.safetensors")
    op, case = name.split(".")[0], ".".join(name.split(".")[:3])
    code, output = read_in_c(reader, tmp_path)
    assert code == 1 and output.splitlines()[:-1] == [f"{op}: {case} is wrong"]
