"""Judges of samples: in how many of them the label, or what the caption names, is found again."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from reference.data.caption_judge import agreement, attributes_seen, digit_classifier
from reference.data.captions import KINDS
from reference.data.datasets import load_dataset
from reference.runs.exported import package_classifier
from reference.runs.run import Run, open_run


def judge_of(run, guidance=1.0, **_):
    """The judge of samples that a run draws with these options; None for a run without one, or for
    samples without labels.

    ``count(arrays, ops)`` of a judge takes the samples x and their labels or captions by name, and
    returns numbers that may be added up over batches.  ``sentence(counted, n)`` states them as
    shares of n samples.
    """
    if not guidance:
        return None
    if run.config.get("vocabulary"):
        digits = load_dataset("digits", run.data_seed)
        classifier = digit_classifier(digits.train, digits.train_labels)
        right = classifier(digits.held_out) == digits.held_out_labels
        return CaptionJudge(classifier, float(right.mean()))
    name = package_classifier(run)
    return ClassJudge(name, open_run(name)) if name else None


@dataclass(frozen=True)
class ClassJudge:
    """A classifier of the package, which finds the labels of samples by class."""

    name: str
    run: Run

    def count(self, arrays, ops):
        """In how many samples the classifier finds their label."""
        log_p = self.run.model.log_probabilities(self.run.state.ema, arrays["x"], ops=ops)
        return int((log_p.argmax(axis=1) == arrays["labels"]).sum())

    def sentence(self, agreed, n):
        share = f"{agreed / n:.1%} of the samples"
        return f"the package's classifier {self.name} finds the label of {share}"


@dataclass(frozen=True)
class CaptionJudge:
    """The evaluators of data/captions.py, and a classifier of digits with its accuracy on held-out
    digits.
    """

    classifier: Any
    accuracy: float

    def count(self, arrays, ops):
        """[3,2]: for colour, digit and place the samples that have the one of their caption, and
        those whose caption names one.
        """
        found = agreement(attributes_seen(arrays["x"], self.classifier), arrays["captions"])
        return np.array([found[kind] for kind in KINDS])

    def sentence(self, counted, n):
        shares = [
            f"{kind} {right / named:.1%}" for kind, (right, named) in zip(KINDS, counted) if named
        ]
        judged = f"a classifier reads the digits, {self.accuracy:.1%} of held-out ones correctly"
        if not shares:
            return "the captions name no colour, digit or place"
        return f"samples that agree with their caption: {', '.join(shares)}; {judged}"
