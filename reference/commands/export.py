"""``export RUN``: the weights alone, for use in other programs."""

from reference.networks import UNet
from reference.runs import diffusers_format, exported
from reference.runs.files import new_folder, output_path, write_atomically, write_together
from reference.runs.methods import METHODS
from reference.runs.run import open_run
from reference.sde.flow import Flow

README = """# A UNet2DModel

The {which} weights after step {step} of a run of {method} on {data}, written by
`python -m reference export`.

The network's inputs are {input}. It returns {output}.
"""
DDPM_SAMPLER = """
The schedulers of diffusers leave x and t as they are, and so does DDPMPipeline. So call the network
yourself. From noise to images in [-1, 1]:

```python
import torch
from diffusers import DDPMScheduler, UNet2DModel

# this folder; steps of the chain; mean square of the data
folder, T, variance = ".", {T}, {variance}
unet = UNet2DModel.from_pretrained(folder)
scheduler = DDPMScheduler.from_pretrained(folder, subfolder="scheduler")
scheduler.set_timesteps(T)  # {fewer}
x = torch.randn{shape}
with torch.no_grad():
    for t in scheduler.timesteps:
        alpha_bar = scheduler.alphas_cumprod[t]
        scaled = x * (variance * alpha_bar + 1 - alpha_bar) ** -0.5
        output = unet(scaled, (t + 1) * (1000 / T)).sample
        x = scheduler.step(output, t, x).prev_sample
```
"""
FLOW_SAMPLER = """
The schedulers of diffusers leave x as it is.  So scale the network's input yourself. From noise to
images in about [-1, 1]:

```python
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UNet2DModel

# this folder; steps; the time of the first; mean square of the data
folder, steps, t_max, variance = ".", 50, {t_max}, {variance}
unet = UNet2DModel.from_pretrained(folder)
scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(folder, subfolder="scheduler")
scheduler.set_timesteps(sigmas=[t_max * (steps - k) / steps for k in range(steps)])
x = t_max * torch.randn{shape}
with torch.no_grad():
    for t in scheduler.timesteps:
        sigma = t / 1000
        scaled = x * (variance * (1 - sigma) ** 2 + sigma**2) ** -0.5
        x = scheduler.step(unet(scaled, t).sample, t, x).prev_sample
```
"""

RUN_HELP = f"""folder of a run, made by train or demo; a file that export wrote; or a model of the
package: {", ".join(exported.package_models())}"""


def add_options(parser):
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument(
        "--out",
        required=True,
        metavar="OUT",
        help="FILE.safetensors; with --format diffusers a new folder (no default)",
    )
    parser.add_argument(
        "--weights",
        default="ema",
        choices=("ema", "raw"),
        help="ema: the averaged weights; raw: the last step's (default ema)",
    )
    parser.add_argument(
        "--format",
        default="native",
        choices=("native", "diffusers"),
        help="native: one file with our names and layout HWIO, which sample and evaluate take as "
        "RUN; diffusers: a folder for UNet2DModel.from_pretrained, of a unet (default native)",
    )
    parser.add_argument(
        "--dtype",
        default="float32",
        choices=exported.DTYPES,
        help="number type of a native file (default float32)",
    )


def execute(arguments, ops):
    run = open_run(arguments.run)
    if run.config["data_sha256"] is None:
        raise ValueError(f"{run.folder} was not trained here: it has the form of diffusers already")
    if arguments.dtype != "float32" and arguments.format != "native":
        raise ValueError("--dtype float16 needs --format native")
    weights = run.state.ema if arguments.weights == "ema" else run.state.params
    count = f"{len(weights)} arrays, {sum(array.size for array in weights.values()):,} numbers"
    if arguments.format == "native":
        path = output_path(arguments.out, (".safetensors",))
        facts = {"config": run.config, "step": run.state.step, "weights": arguments.weights}
        write_atomically(path, exported.to_bytes(weights, facts, arguments.dtype))
        print(f"wrote {path}: {count}, layout HWIO")
        return 0
    if not isinstance(run.model.network, UNet):
        trained = f"{run.folder} trained an {run.config['net']['kind']}"
        raise ValueError(f"--format diffusers needs a unet, but {trained}: take --format native")
    folder = new_folder(arguments.out)
    write_together(folder, _diffusers_files(run, weights, arguments.weights))
    print(f"wrote {folder}: {count}, a UNet2DModel; its README.md describes the network's inputs")
    return 0


def _diffusers_files(run, weights, which):
    """The files of a folder, bytes by name."""
    network, schedule = run.model.network, run.model.schedule
    facts = {"config": run.config, "step": run.state.step, "weights": which}
    files = diffusers_format.model_files(network, weights, facts)
    text = README.format(
        which=which,
        step=run.state.step,
        method=run.method.name,
        data=run.config["data"],
        input=input_formula(run),
        output=output_formula(run),
    )
    config = diffusers_format.scheduler_config(run.model)
    if config and run.method.has_score:
        files["scheduler/scheduler_config.json"] = diffusers_format.json_bytes(config)
        learned = "with fewer, this scheduler adds noise to the last step"
        is_flow = isinstance(schedule, Flow)
        text += (FLOW_SAMPLER if is_flow else DDPM_SAMPLER).format(
            T=None if is_flow else schedule.T,
            t_max=schedule.t_max if is_flow else None,
            variance=run.model.data_variance,
            shape=(16, network.in_channels, *network.size),
            fewer="or fewer" if network.outputs == 1 else learned,
        )
    return files | {"README.md": text.encode()}


def input_formula(run):
    """The network's inputs for a noised x and its time, the formulas in Python."""
    model, v = run.model, run.model.data_variance
    if run.method.restores:
        noise, epsilon = model.degradation.noise, model.epsilon
        scaled = f"`x / sqrt({v} + ({noise} * t)**2 + {epsilon}**2 * t)`, x = (1 - t) x_0 + t y"
        return f"{scaled}, and the time {run.method.network_time}"
    scaled = f"`x / sqrt({v} * alpha**2 + sigma**2)`, x = alpha x_0 + sigma noise"
    method = METHODS[run.config.get("denoiser", run.method.name)]  # of a student: its teacher's
    return f"{scaled}, and the time {method.network_time.format(**run.config['schedule'])}"


def output_formula(run):
    """The network's prediction."""
    v = run.model.data_variance
    formulas = {
        "noise": "the noise",
        "x0": "x_0",
        "v": "alpha noise - sigma x_0",
        "velocity": "noise - x_0",
        "F": f"`(sigma * x_0 - {v} * alpha * noise) / sqrt({v} * ({v} * alpha**2 + sigma**2))`",
    }
    formula = formulas[run.model.prediction]
    if run.model.network.outputs > 1:
        return (
            f"{formula}, and in as many further channels the position of the variance in its range"
        )
    return formula
