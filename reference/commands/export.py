"""``export RUN``: the weights alone, for use elsewhere."""

import json

import numpy as np

from reference.networks import UNet
from reference.runs import diffusers_format
from reference.runs.files import new_folder, output_path, write_atomically, write_together
from reference.runs.run import open_run

SAMPLER = """
The schedulers of diffusers leave x and t as they are, and so does DDPMPipeline: call the network yourself. From noise to images in [-1, 1]:

```python
import torch
from diffusers import DDPMScheduler, UNet2DModel

folder, T, variance = ".", {T}, {variance}  # this folder; steps of the chain; mean square of the data
unet = UNet2DModel.from_pretrained(folder)
scheduler = DDPMScheduler.from_pretrained(folder, subfolder="scheduler")
scheduler.set_timesteps(T)  # {fewer}
x = torch.randn{shape}
with torch.no_grad():
    for t in scheduler.timesteps:
        alpha_bar = scheduler.alphas_cumprod[t]
        said = unet(x * (variance * alpha_bar + 1 - alpha_bar) ** -0.5, (t + 1) * (1000 / T)).sample
        x = scheduler.step(said, t, x).prev_sample
```
"""


def add_options(parser):
    parser.add_argument("run", metavar="RUN", help="folder of a run, as train or demo wrote it")
    parser.add_argument(
        "--out",
        required=True,
        metavar="OUT",
        help="FILE.safetensors; with --format diffusers a new folder",
    )
    parser.add_argument(
        "--weights", default="averaged", choices=("averaged", "last"), help="(default averaged)"
    )
    parser.add_argument(
        "--format",
        default="own",
        choices=("own", "diffusers"),
        help="own (default): one file, our names, weights HWIO; diffusers: of a unet, what UNet2DModel.from_pretrained takes",
    )


def execute(arguments, ops):
    run = open_run(arguments.run)
    weights = run.state.ema if arguments.weights == "averaged" else run.state.params
    count = f"{len(weights)} arrays, {sum(array.size for array in weights.values()):,} numbers"
    if arguments.format == "own":
        path = output_path(arguments.out, (".safetensors",))
        _own(path, run, weights, arguments.weights)
        print(f"wrote {path}: {count}, layout HWIO")
    else:
        if not isinstance(run.model.network, UNet):
            raise ValueError(
                f"--format diffusers takes a unet, and {run.folder} trained an {run.config['net']['kind']}"
            )
        folder = new_folder(arguments.out)
        write_together(folder, _diffusers(run, weights, arguments.weights))
        print(
            f"wrote {folder}: {count}, a UNet2DModel to be fed {input_formula(run)} (see README.md there)"
        )
    return 0


def _own(path, run, weights, which):
    from safetensors.numpy import save

    facts = {"config": run.config, "step": run.state.step, "weights": which}
    write_atomically(
        path,
        save(
            {name: np.ascontiguousarray(array) for name, array in weights.items()},
            {"run": json.dumps(facts)},
        ),
    )


def _diffusers(run, weights, which):
    """The files of a folder, bytes by name."""
    files = diffusers_format.files(run.model.network, weights)
    text = (
        f"# A UNet2DModel\n\nThe {which} weights after step {run.state.step} of a run of {run.system} on {run.config['data']}, written by"
        f" `python -m reference export`.\n\nThe network must be fed {input_formula(run)}. It returns {output_formula(run)}.\n"
    )
    if run.system == "ddpm":
        files["scheduler/scheduler_config.json"] = diffusers_format.json_bytes(
            diffusers_format.scheduler_config(run.model)
        )
        network = run.model.network
        shape = (16, network.in_channels, *network.size)
        fewer = (
            "or fewer"
            if network.outputs == 1
            else "with fewer, this scheduler adds noise to the last step"
        )
        text += SAMPLER.format(
            T=run.model.schedule.T, variance=run.model.data_variance, shape=shape, fewer=fewer
        )
    return files | {"README.md": text.encode()}


def input_formula(run):
    """What the run's network takes in place of a noised x and its time, the formulas in Python."""
    model, v = run.model, run.model.data_variance
    if run.system == "indi":
        noise, epsilon = model.degradation.noise, model.epsilon
        return f"`x / sqrt({v} + ({noise} * t)**2 + {epsilon}**2 * t)`, x = (1 - t) x_0 + t y, and the condition `1000 * t`"
    of = run.config["schedule"]
    match run.system:
        case "ddpm":
            condition = f"`1000 * t / {model.schedule.T}`, t = 1 .. {model.schedule.T}, one more than a scheduler's timestep"
        case "smld":
            condition = f"`1000 * log(sigma / {of['sigma_min']}) / log({of['sigma_max']} / {of['sigma_min']})`"
        case _:
            condition = f"`1000 * t / {of['t_max']}`, t the time of the SDE {of['name']}"
    return f"`x / sqrt({v} * alpha**2 + sigma**2)`, x = alpha x_0 + sigma noise, and the condition {condition}"


def output_formula(run):
    """What the run's network predicts."""
    said = {"noise": "the noise", "x0": "x_0", "v": "alpha noise - sigma x_0"}[
        "x0" if run.system == "indi" else run.model.prediction
    ]
    return said + (
        ", and in as many channels behind it where in its range the variance lies"
        if run.model.network.outputs > 1
        else ""
    )
