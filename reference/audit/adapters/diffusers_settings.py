"""Facts about the schedulers of diffusers: which are examined, with which options, and the order of
convergence that their documentation states.
"""

_DISCRETE = "it samples tokens, and not continuous data"
NOT_EXAMINED = {
    "AmusedScheduler": _DISCRETE,
    "BlockRefinementScheduler": _DISCRETE,
    "DiscreteDDIMScheduler": _DISCRETE,
    "EntropyBoundScheduler": _DISCRETE,
    "VQDiffusionScheduler": _DISCRETE,
    "DDIMInverseScheduler": "it goes from data to noise",
    "DPMSolverMultistepInverseScheduler": "it goes from data to noise",
    "RePaintScheduler": "its step needs an image and a mask",
    "HeliosDMDScheduler": "its step needs the noise and the tables of its pipeline",
    "PiflowScheduler": "its network returns a grid of policies, and not a prediction",
    "RFD4ProteinaScheduler": "its step needs a mask, and it samples a tempered law",
    "KarrasVeScheduler": "the library exports its name without an implementation",
}
MULTISTEP = (
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "DEISMultistepScheduler",
    "UniPCMultistepScheduler",
    "SASolverScheduler",
)
# schedulers with levels ``sigmas`` whose step depends on its arguments alone
PURE = ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "EDMEulerScheduler")
TWO_STAGES = ("FlowMatchHeunDiscreteScheduler",)
STOCHASTIC = (
    "DDPMScheduler",
    "DDPMParallelScheduler",
    "DDPMWuerstchenScheduler",
    "UnCLIPScheduler",
    "EulerAncestralDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "DPMSolverSDEScheduler",
    "CosineDPMSolverMultistepScheduler",
    "CogVideoXDPMScheduler",
    "ScoreSdeVeScheduler",
    "LTXEulerAncestralRFScheduler",
    "LCMScheduler",
    "TCDScheduler",
    "CMStochasticIterativeScheduler",
    "FlowMatchLCMScheduler",
    "SCMScheduler",
)
# their network is a consistency function, which the exact denoiser is not: no ``sample``
CONSISTENCY = (
    "LCMScheduler",
    "TCDScheduler",
    "CMStochasticIterativeScheduler",
    "FlowMatchLCMScheduler",
    "SCMScheduler",
)
ORDERS = {
    "DDIMScheduler": 1,
    "DDIMParallelScheduler": 1,
    "CogVideoXDDIMScheduler": 1,
    "EulerDiscreteScheduler": 1,
    "EDMEulerScheduler": 1,
    "FlowMatchEulerDiscreteScheduler": 1,
    "FlowMapEulerDiscreteScheduler": 1,
    "MiniMaxH3Scheduler": 1,
    "HeunDiscreteScheduler": 2,
    "FlowMatchHeunDiscreteScheduler": 2,
    "KDPM2DiscreteScheduler": 2,
    "IPNDMScheduler": 4,
    "PNDMScheduler": 2,
}
DEFAULTS: dict = {"HeliosScheduler": {"stages": 1}}
_LEADING, _TRAILING, _LINSPACE = (
    {"timestep_spacing": spacing} for spacing in ("leading", "trailing", "linspace")
)
_V, _X0 = {"prediction_type": "v_prediction"}, {"prediction_type": "sample"}
_KARRAS, _EXPONENTIAL, _BETA = (
    {f"use_{kind}_sigmas": True} for kind in ("karras", "exponential", "beta")
)
_SIGMA_MIN = {"final_sigmas_type": "sigma_min"}
_ZERO_SNR = {"rescale_betas_zero_snr": True, **_V, **_TRAILING}
_FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
_COSINE = {"beta_schedule": "squaredcos_cap_v2"}
_SDE = {"algorithm_type": "sde-dpmsolver++"}
_ORDERS = ({"solver_order": 1}, {"solver_order": 3})
VARIANTS: dict = {  # the options with which ``diffusers:all`` audits each class
    "DDIMScheduler": (
        *({}, _TRAILING, _LINSPACE, _V, _X0, {"eta": 1.0}, {"set_alpha_to_one": False}),
        *(_ZERO_SNR, _COSINE),
    ),
    "DDIMParallelScheduler": ({}, _TRAILING, _LINSPACE, {"eta": 1.0}),
    "DDPMScheduler": (
        *({}, _TRAILING, _LINSPACE, _V, _X0, _ZERO_SNR, {"variance_type": "fixed_small_log"}),
        *({"variance_type": "fixed_large"}, {"variance_type": "fixed_large", **_TRAILING}),
        {"variance_type": "fixed_large_log"},
    ),
    "DDPMParallelScheduler": ({}, _TRAILING, {"variance_type": "fixed_large_log"}),
    "DDPMWuerstchenScheduler": ({}, {"scaler": 2.0}),
    "UnCLIPScheduler": ({}, _X0),
    "CogVideoXDDIMScheduler": ({}, _TRAILING, _LINSPACE, _ZERO_SNR),
    "CogVideoXDPMScheduler": ({}, _TRAILING, _LINSPACE),
    "PNDMScheduler": ({}, {"skip_prk_steps": True}, {"set_alpha_to_one": True}, _V),
    "LCMScheduler": ({}, _V),
    "TCDScheduler": ({}, {"eta": 0.0}),
    "EulerDiscreteScheduler": (
        *({}, _LEADING, _TRAILING, _V, _X0, _KARRAS, _EXPONENTIAL, _BETA, _SIGMA_MIN, _ZERO_SNR),
        *({"interpolation_type": "log_linear"}, {"s_churn": 10.0}),
    ),
    "EulerAncestralDiscreteScheduler": ({}, _LEADING, _TRAILING, _V, _ZERO_SNR, _COSINE),
    "HeunDiscreteScheduler": ({}, _TRAILING, _V, _X0, _KARRAS, _EXPONENTIAL, _BETA),
    "KDPM2DiscreteScheduler": ({}, _TRAILING, _V, _KARRAS),
    "KDPM2AncestralDiscreteScheduler": ({}, _TRAILING, _KARRAS, _COSINE),
    "LMSDiscreteScheduler": ({}, _TRAILING, _V, _KARRAS, {"order": 2}),
    "DPMSolverSDEScheduler": ({}, _TRAILING, _KARRAS),
    "DPMSolverMultistepScheduler": (
        *({}, _LEADING, _TRAILING, _V, _X0, _KARRAS, _EXPONENTIAL, _BETA, _SIGMA_MIN, *_ORDERS),
        *({"use_lu_lambdas": True}, {"solver_type": "heun"}, {"euler_at_final": True}, _SDE),
        *({"algorithm_type": "dpmsolver", **_SIGMA_MIN}, _FLOW, _ZERO_SNR, {**_COSINE, **_KARRAS}),
    ),
    "DPMSolverSinglestepScheduler": (
        *({}, _V, _KARRAS, *_ORDERS, _SDE, {"algorithm_type": "dpmsolver", **_SIGMA_MIN}),
    ),
    "DEISMultistepScheduler": ({}, _TRAILING, _V, _KARRAS, *_ORDERS, _FLOW),
    "UniPCMultistepScheduler": (
        *(
            {},
            _TRAILING,
            _V,
            _KARRAS,
            *_ORDERS,
            {"solver_type": "bh1"},
            {"predict_x0": False},
            _FLOW,
        ),
    ),
    "SASolverScheduler": ({}, _TRAILING, _KARRAS),
    "EDMEulerScheduler": ({}, _V, {"sigma_schedule": "exponential"}, _SIGMA_MIN, {"s_churn": 10.0}),
    "EDMDPMSolverMultistepScheduler": ({}, *_ORDERS, {"solver_type": "heun"}, _SDE),
    "FlowMatchEulerDiscreteScheduler": (
        *({}, {"shift": 3.0}, _KARRAS, _EXPONENTIAL, _BETA, {"shift_terminal": 0.1}),
        {"stochastic_sampling": True},
    ),
    "FlowMatchHeunDiscreteScheduler": ({}, {"shift": 3.0}, {"s_churn": 10.0}),
    "FlowMapEulerDiscreteScheduler": ({}, {"shift": 3.0}),
    "LTXEulerAncestralRFScheduler": ({}, {"eta": 0.0}),
    "ScoreSdeVeScheduler": ({"correct_steps": 0},),
}


def order(name, config, run):
    """The documented order of convergence; None if the documentation states none.  A linear
    multistep method of a higher order begins with a step of order 1, and converges with order 2.
    """
    stochastic = run["step"].get("eta", 0) or run["step"].get("s_churn", 0)
    if stochastic or str(getattr(config, "algorithm_type", "")).startswith("sde"):
        return None
    if name == "LMSDiscreteScheduler":
        return min(2, run["step"].get("order", 4))
    if name == "SASolverScheduler":
        return None
    stated = ORDERS.get(name, getattr(config, "solver_order", None))
    several_at_once = (*ORDERS, "DPMSolverSinglestepScheduler")
    return (
        stated
        if name in several_at_once and name != "IPNDMScheduler"
        else stated and min(2, stated)
    )


def evaluation_sigmas(name, scheduler):
    """The level of x at each evaluation of a scheduler with two evaluations a step."""
    count = len(scheduler.timesteps)
    sigmas = scheduler.sigmas[:count]
    if name.startswith("KDPM2"):
        middle = scheduler.sigmas_interpol
        shift = 0 if name == "KDPM2DiscreteScheduler" else -1
        return [sigmas[i] if i % 2 == 0 else middle[i + shift] for i in range(count)]
    if name == "DPMSolverSDEScheduler":
        ends = scheduler.sigmas
        return [ends[i] if i % 2 == 0 else (ends[i - 1] * ends[i]) ** 0.5 for i in range(count)]
    return sigmas
