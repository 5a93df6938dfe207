"""Which parameter of a target's function is which: names that other code gives to them."""

import inspect

SYNONYMS = {  # names that other code gives to the parameters
    "x0": ("x_0", "x_start", "x_clean", "clean", "original_samples", "original", "images", "data"),
    "noise": ("eps", "epsilon", "z", "e", "variance_noise"),
    "t": ("timestep", "timesteps", "time", "sigma", "sigmas", "i", "t_cur"),
    "t_prev": ("prev_t", "prev_timestep", "t_next", "next_t", "s", "sigma_next", "sigma_prev"),
    "prediction": (
        "eps",
        "epsilon",
        "e",
        "model_output",
        "pred",
        "output",
        "noise_pred",
        "eps_pred",
    ),
    "x": ("x_t", "xt", "sample", "latents", "x_init", "img"),
    "denoise": ("denoiser", "model", "network", "fn", "model_fn"),
    "steps": ("n", "num_steps", "n_steps", "num_inference_steps"),
    "n": ("steps", "num_steps", "n_steps", "num_inference_steps"),
    "seed": ("random_state",),
    "conditional": ("cond", "eps_cond", "noise_pred_text", "c"),
    "unconditional": ("uncond", "eps_uncond", "noise_pred_uncond", "u"),
    "weight": ("w", "scale", "guidance_scale", "guidance"),
}


def named(function, parameters):
    """Parameter of ``parameters`` -> the function's name of it, in the order of the function; None
    if the signature can't be read, or takes any number of arguments.

    A name that may stand for several, such as eps in ``step(eps, t, x, noise)``, gets the one that
    leaves most names with a meaning.  Then a required parameter of an unknown name is the first
    that no name stands for: the v of ``step(v, t, x)`` is the prediction.
    """
    taken = _signature(function)
    if taken is None or any(entry.kind is entry.VAR_POSITIONAL for entry in taken):
        return None
    if taken and all(entry.kind is entry.VAR_KEYWORD for entry in taken):
        return {parameter: parameter for parameter in parameters}
    found: dict = {}
    for entry in taken:
        _place(entry.name, parameters, found, set())
    missing = [parameter for parameter in parameters if parameter not in found]
    required = [p.name for p in taken if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    unknown = [name for name in required if name not in found.values()]
    found |= dict(zip(missing, unknown))
    order = [entry.name for entry in taken]
    return dict(sorted(found.items(), key=lambda pair: order.index(pair[1])))


def positional_only(function):
    """The names of the parameters before a ``/``."""
    return [p.name for p in _signature(function) or () if p.kind is p.POSITIONAL_ONLY]


def _place(name, parameters, found, tried):
    """Give ``name`` a parameter in ``found``, moving other names if they have a second meaning
    (augmenting paths of a bipartite matching).  False if there is none.
    """
    own = [parameter for parameter in parameters if name.lower() == parameter.lower()]
    others = [parameter for parameter in parameters if name.lower() in SYNONYMS.get(parameter, ())]
    for parameter in own or others:
        if parameter not in tried:
            tried.add(parameter)
            if parameter not in found or _place(found[parameter], parameters, found, tried):
                found[parameter] = name
                return True
    return False


def _signature(function):
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
