"""Is your diffusion code right?  Checks of schedules, steps, samplers, losses and models of other
code, in its own conventions (``python -m reference audit TARGET``).

A target is a Python file or module with any of these names:

    alpha_bar, betas, sigmas          a table over the training times, or a function: of nothing, of
                                      T (``alpha_bar(T)``), or of a real time (``alpha_bar(t)``)
    marginal(t)                       (alpha, sigma) with x_t = alpha x_0 + sigma eps
    add_noise(x0, noise, t)           x_t
    timesteps(n)                      the times of a sampler of n steps, falling
    step(prediction, t, x, noise, t_prev)         x at t_prev
    predict_x0(prediction, t, x)      the x_0 that a prediction implies
    velocity(x0, noise, t)            the v of a training loss
    sample(denoise, x, steps, seed)   samples [b,d]; ``denoise(x, t)`` is ours, and exact
    loss(denoise, x0, t, noise)       a number, or one for each sample
    denoise(x, t), data, held_out     a trained model with its data
    guided(conditional, unconditional, weight)    the prediction with guidance
    CLAIMS                            its author's statements (``claims.CLAIMS``)

x, x0, noise and predictions are arrays [b,4], or [b,*shape] with ``CLAIMS["shape"]``; t is a
number.
The audit recognises the target's conventions first (``conventions``), then judges: a convention is
never a fault, a contradiction is, and a question that nothing decides is reported as not decidable.
"""
