"""Text as a condition: how near does a network with captions come to the exact denoiser, on
combinations of words that training left out too (captions_losses.py), with cross-attention and with
nothing but the mean of the words?  And what do images of captions show (captions_images.py)?
"""

from reference import ops as reference_ops
from reference.plotting import subplots
from reference.tutorial.experiments import Outcome, captions_images, captions_losses
from reference.tutorial.experiments.captions_exact import SEEN, UNSEEN, caption_laws

QUESTION = "Does a network understand combinations of words that it was not trained on?"
# training steps, batch, seeds, held-out draws
FULL = 6000, 32, 2, 4000
QUICK = 600, 16, 1, 400


def run(quick=False, ops=reference_ops):
    steps, batch, seeds, draws = QUICK if quick else FULL
    outcome = Outcome(
        settings={
            "training steps": steps,
            "seeds": seeds,
            "batch": batch,
            "training draws": captions_losses.DRAWS,
            "label dropout": captions_losses.DROPOUT,
            "held-out draws": draws,
            "sigmas": captions_losses.SIGMAS.tolist(),
            "channels": captions_losses.CHANNELS,
            "parameters": {
                kind: captions_losses.parameters(kind)
                for kind in (captions_losses.CROSS, captions_losses.MEAN)
            },
        }
    )
    laws = caption_laws()
    networks = captions_losses.train_networks(laws, steps, batch, seeds, ops)
    found = captions_losses.measure(laws, networks, draws, ops)
    captions_losses.report(outcome, found, in_training=quick)
    outcome.figure = figure(found, captions_images.images(outcome, quick, ops))
    return outcome


def figure(found, pictures=None):
    """Above, losses and errors of the score beside the exact ones; below, if there are
    ``pictures``, accuracies of images over guidance, and samples.
    """
    rows = 2 if pictures else 1
    drawing, axes = subplots(rows, 3, 16, 5 * rows, QUESTION)
    for panel, captions in zip(axes[0], (SEEN, UNSEEN)):
        captions_losses.draw_losses(panel, found, captions)
    captions_losses.draw_score_errors(axes[0, 2], found)
    if pictures:
        for panel, kind in zip(axes[1], (SEEN, UNSEEN)):
            captions_images.draw_accuracies(panel, pictures, kind)
        captions_images.draw_sheet(axes[1, 2], pictures)
    return drawing
