"""Attention maps of the words of captions: shares by an independent computation, and ``sample --attention``."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from reference import ops, plotting
from reference.commands import attention
from reference.data.captions import decode
from reference.data.datasets import load_dataset
from reference.diffusion.guidance import GuidedNetwork
from reference.runs import attention_maps, files
from reference.runs.attention_maps import MOST_SAMPLES, AttentionMaps
from tests import device_port
from tests.command_runs import run
from tests.device_port import to_device
from tests.example_networks import CAPTIONED, inputs, numbers, random_parameters
from tests.readable_figures import assert_readable
from tests.tolerances import assert_equal_to_rounding

X, C, TOKENS = inputs(CAPTIONED)
PARAMS = random_parameters(CAPTIONED)
EVALUATIONS = [(X, C), (numbers(7, *X.shape), C / 2), (numbers(8, *X.shape), C / 4)]
OPTIONS = "--sampler ddim --steps 2 --guidance 2".split()


def shares_of(block, x, tokens):
    """[b,H,W,m]: softmax of q.k / sqrt(4) in each head of 4 channels, from the parameters alone; x[b,h,w,c] enters the block."""
    p = lambda leaf: PARAMS[f"{block}.{leaf}"]
    b, h, w, c = x.shape
    grouped = x.reshape(b, h * w, CAPTIONED.groups, -1)
    centred = grouped - grouped.mean(axis=(1, 3), keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(axis=(1, 3), keepdims=True) + CAPTIONED.norm_eps)
    n = normed.reshape(x.shape) * p("group_norm.scale") + p("group_norm.shift")
    words = PARAMS["text.token_embedding.table"][tokens] + PARAMS["text.position_embedding.table"]
    q, k = n @ p("to_q.w") + p("to_q.b"), words @ p("to_k.w") + p("to_k.b")
    found = np.zeros((b, *CAPTIONED.size, tokens.shape[1]))
    for sample, row, column, head in np.ndindex(*found.shape[:3], c // 4):
        own = slice(4 * head, 4 * head + 4)
        pixel = q[sample, row * h // CAPTIONED.size[0], column * w // CAPTIONED.size[1], own]
        e = np.exp(k[sample, :, own] @ pixel / 2) * (tokens[sample] != 0)
        found[sample, row, column] += e / e.sum() / (c // 4)
    return found


def expected_maps(tokens):
    """The mean over ``EVALUATIONS`` and over the blocks, for the captions ``tokens``."""
    blocks = [name.removesuffix(".to_k.w") for name in PARAMS if "cross" in name and name.endswith(".to_k.w")]
    assert len(blocks) == 7  # one level down, one level in the middle, two up: 2 + 1 + 4
    saved = [CAPTIONED.forward(PARAMS, x, c, labels=tokens)[1] for x, c in EVALUATIONS]
    return np.mean([shares_of(block, one[block][0], tokens) for one in saved for block in blocks], axis=0)


def watched(*guidance):
    """``AttentionMaps`` after all evaluations of the network, or of the guided network."""
    maps = AttentionMaps(2).watch(CAPTIONED)
    for x, c in EVALUATIONS:
        if guidance:
            GuidedNetwork(maps, TOKENS, *guidance).forward(PARAMS, x, c)
        else:
            maps.forward(PARAMS, x, c, labels=TOKENS)
    return maps


def test_maps_are_the_softmax_of_queries_and_keys_over_all_blocks_and_evaluations():
    maps = watched()
    assert maps.evaluations == len(EVALUATIONS) and maps.maps.shape == (2, 4, 4, 3)
    assert_equal_to_rounding(maps.maps, expected_maps(TOKENS), 1.0)


def test_shares_sum_to_1_and_padding_has_none():
    maps = watched().maps
    assert_equal_to_rounding(maps.sum(axis=3), np.ones((2, 4, 4)))
    counts = np.broadcast_to((TOKENS != 0)[:, None, None], maps.shape)
    assert not counts.all() and not maps[~counts].any() and (maps[counts] > 0).all()


@pytest.mark.parametrize("interval", [(-np.inf, np.inf), (0, 0.6 * C.max())], ids=["everywhere", "in part"])
def test_maps_of_a_guided_network_are_those_of_the_captions(interval):
    maps = watched(3.0, interval)
    np.testing.assert_array_equal(maps.tokens, TOKENS)
    assert_equal_to_rounding(maps.maps, expected_maps(TOKENS), 1.0)
    assert np.abs(expected_maps(np.array([[1, 0, 0]] * 2)) - maps.maps).max() > 0.01


def test_the_first_samples_of_a_large_batch_have_maps_and_all_outputs_keep_their_bits():
    n = MOST_SAMPLES + 1
    x, c, tokens = numbers(9, n, *CAPTIONED.sample_shape), np.full(n, 30.0), np.tile(TOKENS, (n, 1))[:n]
    large, small = AttentionMaps(n).watch(CAPTIONED), AttentionMaps(MOST_SAMPLES).watch(CAPTIONED)
    y, _ = large.forward(PARAMS, x, c, labels=tokens)
    np.testing.assert_array_equal(y, CAPTIONED.forward(PARAMS, x, c, labels=tokens)[0])
    small.forward(PARAMS, x[:MOST_SAMPLES], c[:MOST_SAMPLES], labels=tokens[:MOST_SAMPLES])
    np.testing.assert_array_equal(large.maps, small.maps)
    np.testing.assert_array_equal(large.tokens, tokens[:MOST_SAMPLES])


def test_the_evaluation_of_the_samples_saves_nothing():
    """What nothing is saved of stays so: only then does a port replay it (accelerated/gpu/models.py)."""
    calls = []

    class Recorded:
        def __getattr__(self, name):
            return getattr(CAPTIONED, name)

        def forward(self, params, x, c, ops=ops, labels=None, keep=True):
            calls.append((len(x), keep))
            return CAPTIONED.forward(params, x, c, ops, labels, keep)

    guided = GuidedNetwork(AttentionMaps(1).watch(Recorded()), TOKENS, 2.0)
    guided.forward(PARAMS, X, C, keep=False)
    assert calls == [(1, True), (4, False)]


def test_maps_of_a_device_are_those_of_the_host():
    maps = AttentionMaps(2).watch(CAPTIONED)
    params = {name: to_device(array) for name, array in PARAMS.items()}
    for x, c in EVALUATIONS:
        maps.forward(params, to_device(x), to_device(c), device_port, to_device(TOKENS))
    np.testing.assert_array_equal(maps.maps, watched().maps)
    np.testing.assert_array_equal(maps.tokens, TOKENS)


# The picture.


def test_the_picture_has_a_panel_for_each_word_and_one_colour_scale():
    images = np.full((2, 4, 4, 3), -1.0)
    images[0, 1:3, 1, 2] = 1
    words, maps = [["a", "blue", "1"], ["a", "digit"]], numbers(1, 2, 4, 4, 8) ** 2
    figure = plotting.attention_sheet(images, words, maps, "ddpm trained on captions: ddim, 50 steps, seed 0, caption 'a digit'")
    assert_readable(figure)
    *panels, scale = figure.axes
    assert scale.get_ylabel() == "share of attention"
    assert [axes.get_title() for axes in panels] == ["sample", "a", "blue", "1", "sample", "a", "digit", ""]
    for row, own in enumerate(words):
        for token in range(len(own)):
            axes = panels[4 * row + 1 + token]
            np.testing.assert_array_equal(axes.images[0].get_array(), maps[row, :, :, token])
            assert axes.images[0].get_clim() == (0, maps.max())
            assert len(axes.collections) == (row == 0)  # nothing in the second image is bright
    assert not panels[-1].images


# The command.


def test_samples_have_the_same_bits_with_a_picture_of_their_attention(captioned_run, tmp_path, capsys, monkeypatch):
    drawn, draw = [], plotting.attention_sheet

    def recorded(*given):
        drawn.append(given)
        return draw(*given)

    monkeypatch.setattr(plotting, "attention_sheet", recorded)
    monkeypatch.setattr(attention_maps, "MOST_SAMPLES", 3)
    plain, path, picture = (tmp_path / name for name in ("plain.npy", "s.npy", "a.png"))
    command = ("sample", captioned_run, *OPTIONS, "--samples", 4)
    assert run(*command, "--out", plain) == 0
    line, judged = capsys.readouterr().out.splitlines()[-2:]
    assert run(*command, "--out", path, "--attention", picture) == 0
    assert path.read_bytes() == plain.read_bytes()
    lines = capsys.readouterr().out.splitlines()[-3:]
    assert lines[0] == line.replace("plain.npy", "s.npy") and line.endswith("4 network evaluations")
    shown = f"the attention to their captions in 3 samples of {captioned_run}, the mean of 2 evaluations"
    assert lines[1:] == [f"wrote {picture}: {shown}", judged]
    ((images, words, maps, _),) = drawn
    np.testing.assert_array_equal(images, np.load(path)[:3])
    captions = load_dataset("captions", 0).captions.held_out[:3]
    assert [" ".join(own) for own in words] == [decode(tokens) for tokens in captions]
    assert maps.shape == (3, 32, 32, 8)
    assert json.loads(plotting.read_description(picture)).get("attention") is True


def test_the_picture_is_overwritten_by_the_same_command_only(captioned_run, tmp_path, capsys):
    path, picture = tmp_path / "s.png", tmp_path / "a.png"
    command = ("sample", captioned_run, *OPTIONS, "--samples", 1, "--attention", picture, "--out")
    assert run(*command, path) == 0
    first = picture.read_bytes()
    assert run(*command, path) == 0 and picture.read_bytes() == first
    assert run(*command, tmp_path / "t.png", "--seed", 1) == 2
    assert f"{picture} exists already: name another --attention, or remove it first" in capsys.readouterr().err
    assert picture.read_bytes() == first and sorted(tmp_path.iterdir()) == [picture, path]


def test_no_file_is_written_if_one_can_not_be(captioned_run, tmp_path, monkeypatch, capsys):
    write = files.write_atomically

    def full(path, data):
        if path.name == "a.png":
            raise OSError(28, "No space left on device", str(path))
        write(path, data)

    monkeypatch.setattr(files, "write_atomically", full)
    words = (*OPTIONS, "--samples", 1, "--attention", tmp_path / "a.png", "--out", tmp_path / "s.npy")
    assert run("sample", captioned_run, *words) != 0
    assert "No space left on device" in capsys.readouterr().err and not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "options, message",
    [
        ("--attention a.npz --out s.png", "--attention must end in .png, got a.npz"),
        ("--attention ./s.png --out s.png", "--attention and --out must name two files, got s.png twice"),
        ("--attention a.png --out s.png --live --frames 1", "--attention belongs to one drawing, and --live draws again and again"),
        ("--attention a.png --out s.npz --samples 129", "--attention needs at most 128 samples, got 129"),
        ("--attention a.png --out s.png --guidance 0", "--attention shows attention to a caption, and --guidance 0 ignores it"),
    ],
)
def test_bad_options_exit_2_in_one_line_and_draw_nothing(options, message, captioned_run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("sample", captioned_run, *OPTIONS, *options.split()) == 2
    err = capsys.readouterr().err
    assert err.endswith(f"{message}\n") and err.count("\n") == 1 and not [*tmp_path.iterdir()]


def test_a_run_without_captions_is_refused(images_run, tmp_path, capsys):
    assert run("sample", images_run, "--attention", tmp_path / "a.png", "--out", tmp_path / "s.png") == 2
    err = capsys.readouterr().err
    assert f"--attention needs a run with captions, and {images_run} was trained without captions\n" in err
    assert not [*tmp_path.iterdir()]


def test_a_network_without_cross_attention_is_refused():
    network = replace(CAPTIONED, cross_attention=())
    opened = SimpleNamespace(folder="RUN", config={"vocabulary": ["a"]}, model=SimpleNamespace(network=network))
    with pytest.raises(ValueError, match="--attention needs cross-attention, and RUN has none"):
        attention.check_attention(opened, SimpleNamespace(attention="a.png"), 1, {})


def test_several_processes_are_refused(captioned_run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(attention, "processes", lambda: SimpleNamespace(count=2))
    words = ("--samples", 1, "--attention", tmp_path / "a.png", "--out", tmp_path / "s.png")
    assert run("sample", captioned_run, *OPTIONS, *words) == 2
    assert "--attention needs one process\n" in capsys.readouterr().err
