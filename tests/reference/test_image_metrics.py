"""PSNR and SSIM against recorded values of scikit-image 0.26.0, closed forms, and images that they refuse.

Recorded: peak_signal_noise_ratio(truth, x, data_range=L), and structural_similarity(truth, x, data_range=L, gaussian_weights=True,
sigma=1.5, use_sample_covariance=False, channel_axis=-1), for the images of ``pair``.
"""

import numpy as np
import pytest

from reference.data.image_metrics import psnr, ssim
from tests.oracle_tolerances import EXACT, SIMILARITY

RECORDED = {  # (h, w, c, L): PSNR, SSIM
    (11, 11, 1, 2.0): (18.972937922630077, 0.8739412731778066),
    (11, 11, 1, 1.0): (12.952338009350452, 0.8730128285698661),
    (28, 28, 1, 2.0): (19.210963835363266, 0.7919356557487078),
    (17, 32, 3, 2.0): (18.12728317315404, 0.7145316466707087),
    (17, 32, 3, 1.0): (12.106683259874417, 0.7097193427606013),
    (13, 12, 2, 2.0): (18.437922228878353, 0.7986802912252227),
}


def pair(h, w, c):
    """(image, truth), each [1,h,w,c]."""
    i, j, k = np.ogrid[:h, :w, :c]
    truth = np.sin(0.3 * i + 0.2 * j * (k + 1))
    return (truth + 0.3 * np.cos(1.7 * i * j + k) + 0.1 * k)[None], truth[None]


@pytest.mark.parametrize("case", RECORDED, ids=str)
def test_values_of_scikit_image(case):
    *shape, data_range = case
    peak, similarity = RECORDED[case]
    assert psnr(*pair(*shape), data_range) == pytest.approx([peak], rel=EXACT)
    assert ssim(*pair(*shape), data_range) == pytest.approx([similarity], abs=SIMILARITY)


def test_an_image_has_the_value_that_it_has_alone_in_single_precision_too():
    x, truth = (np.concatenate((a, 1 - a, a[:, ::-1])).astype(np.float32) for a in pair(12, 13, 2))
    for metric in (psnr, ssim):
        values = metric(x, truth)
        assert values.dtype == np.float64
        np.testing.assert_array_equal(values, [metric(x[[i]], truth[[i]])[0] for i in range(3)])


def test_equal_images_have_the_largest_values():
    _, truth = pair(12, 13, 2)
    assert psnr(truth, truth) == [np.inf] and ssim(truth, truth) == pytest.approx([1], abs=SIMILARITY)


def test_the_similarity_of_constant_images_compares_their_means():
    a, b, C_1 = 0.5, -0.25, 0.02**2
    x, truth = np.full((1, 11, 12, 1), a), np.full((1, 11, 12, 1), b)
    assert ssim(x, truth) == pytest.approx([(2 * a * b + C_1) / (a**2 + b**2 + C_1)], abs=SIMILARITY)
    assert psnr(x, truth) == pytest.approx([10 * np.log10(4 / 0.75**2)], rel=EXACT)


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_images_of_two_shapes_and_ranges_without_size_are_refused(metric):
    x, truth = pair(12, 13, 2)
    with pytest.raises(ValueError, match=r"must have one shape \[n,h,w,c\], got \[1, 12, 13, 1\] and \[1, 12, 13, 2\]"):
        metric(x[..., :1], truth)
    with pytest.raises(ValueError, match=r"got \[12, 13, 2\]"):
        metric(x[0], truth[0])
    with pytest.raises(ValueError, match="data_range must be a positive number, got 0"):
        metric(x, truth, 0)


def test_images_smaller_than_the_window_have_no_similarity():
    with pytest.raises(ValueError, match="SSIM needs images of at least 11x11 pixels, got 12x10"):
        ssim(*pair(12, 10, 1))
