"""Known mistakes in reading data, its units and its figures: (file, exact old text, new text, test that must fail)."""

from itertools import starmap


def _mutant(name, old, new, test):
    return f"reference/{name}.py", old, new, f"tests/reference/test_{test}"


FIRST_OR_LAST = "formats.py::test_channels_first_or_last_are_detected_and_channels_first_is_reported"
NPZ_NAMES = "formats.py::test_npz_names_of_samples_and_labels"
TEST_SAMPLES = "formats.py::test_test_samples_of_a_file_come_last_and_are_held_out[True-x_train x_test y_train y_test]"
TABLE = "formats.py::test_a_table_has_one_point_per_line"
PICTURES = "formats.py::test_subfolders_are_classes"
PALETTE = "formats.py::test_palette_images_and_grey_with_alpha_are_read_as_colours"
WORDS = "units.py::test_integer_range_is_the_types_range_if_all_bits_are_used"
COLUMNS = "units.py::test_every_coordinate_is_standardised_and_the_scaling_is_invertible"
SPACING = "units.py::test_spacing_is_the_coarsest_lattices_and_0_for_real_numbers"
OPACITY = "figures.py::test_opacity_is_drawn_over_white_and_two_channels_as_red_and_green"
CLOUD = "figures.py::test_a_scatter_plot_names_its_coordinates_and_is_square"
CROPPED = "sample_command.py::test_samples_of_images_padded_for_the_unet_are_cropped"
OWN_UNITS = "sample_command.py::test_samples_of_points_are_in_the_units_of_the_file"
INFO = "command_line.py::test_info_reports_how_data_is_read_and_plots_it"

MUTANTS = tuple(
    starmap(
        _mutant,
        (
            # files
            ("data/formats", "    if not last:\n", "    if False:\n", FIRST_OR_LAST),
            ("data/formats", "x.transpose(0, 2, 3, 1)", "x.transpose(0, 3, 2, 1)", FIRST_OR_LAST),
            (
                "data/formats",
                "    if not first and not last:",
                "    if False:",
                "formats.py::test_arrays_of_other_shapes_are_refused[shape0]",
            ),
            (
                "data/formats",
                "        y = y[:, 0]\n",
                "        y = y[::-1, 0]\n",
                "formats.py::test_labels_may_be_a_column_or_booleans",
            ),
            ("data/formats", '.replace("x", "y"), "y", "labels")', '.replace("x", "y"))', NPZ_NAMES + "[images-y]"),
            ("data/formats", "np.concatenate((x, test)), len(test)", "np.concatenate((x, test)), len(x)", TEST_SAMPLES),
            ("data/formats", "np.concatenate((y, test_y))", "np.concatenate((test_y, y))", TEST_SAMPLES),
            (
                "data/formats",
                "for each in (name, other))",
                "for each in (name,))",
                "formats.py::test_idx_labels_are_found_whether_either_file_is_gzipped[names0-False-True]",
            ),
            (
                "data/formats",
                "    if declared != held:\n",
                "    if declared < held:\n",
                "formats.py::test_a_broken_npy_file_is_refused_in_one_line",
            ),
            ("data/formats", "names, values = names[1:], values[:, 1:]", "pass", TABLE),
            (
                "data/formats",
                'character in ";\\t,"',
                'character in ",\\t;"',
                "formats.py::test_a_non_numeric_table_is_refused_naming_the_line",
            ),
            (
                "data/formats",
                "        return math.isfinite(float(cell))",
                "        return not math.isnan(float(cell or 0))",
                "formats.py::test_a_non_numeric_table_is_refused_naming_the_line",
            ),
            (
                "data/formats",
                "labels, values = values[:, column], np.delete(values, column, axis=1)",
                "labels = values[:, column]",
                "formats.py::test_a_column_called_label_holds_labels",
            ),
            ("data/formats", "for folder in sorted(path.iterdir()) if", "for folder in sorted(path.iterdir())[::-1] if", PICTURES),
            ("data/formats", "return size[::-1], mode", "return size, mode", PICTURES),
            ("data/png", "image if image.mode == mode else image.convert(mode)", "image", PALETTE),
            ("data/png", '"RGBA" if see_through else "RGB"', '"RGB"', PALETTE),
            (
                "data/png",
                "        if interlaced:",
                "        if False:",
                "formats.py::test_unreadable_images_are_refused_in_one_line[interlaced 16-bit colours]",
            ),
            (
                "data/png",
                "    if size[0] * size[1] * depth",
                "    if 0 * size[0] * size[1] * depth",
                "formats.py::test_unreadable_images_are_refused_in_one_line[a lying header]",
            ),
            # units
            ("data/units", "    for bits in (8, 16):", "    for bits in (16,):", WORDS),
            ("data/units", "2 ** (bits - 1) <= largest", "0 <= largest", WORDS),
            ("data/units", "        if smallest >= 0 and", "        if", WORDS),
            (
                "data/units",
                "x.dtype == np.uint8 else np.float64\n",
                "False else np.float64\n",
                "units.py::test_scaled_bytes_are_bit_equal_to_x_times_2_over_255_minus_1",
            ),
            (
                "data/units",
                "    return np.ldexp(x, -exponent, out=x), exponent",
                "    return x, 0 * exponent",
                "units.py::test_real_valued_images_are_scaled_to_minus_one_to_one",
            ),
            ("data/units", "share.std(axis=0)  #", "share.std() + 0 * share.std(axis=0)  #", COLUMNS),
            ("data/units", "low + np.ldexp(mean, exponent)", "low + mean", COLUMNS),
            ("data/units", "np.gcd.reduce(values - values.dtype.type(low), axis=None)", "1", SPACING),
            ("data/units", "bool((x == np.rint(x)).all())", "False", SPACING),
            # data sets
            (
                "data/datasets",
                "held_out = np.arange(len(x) - found.held_out, len(x))",
                "held_out = np.arange(found.held_out)",
                "datasets.py::test_test_samples_in_a_file_are_held_out_and_scaled_like_the_rest",
            ),
            (
                "data/datasets",
                'widths, "edge")',
                'widths, "wrap")',
                "datasets.py::test_padding_repeats_the_last_row_and_column_and_keeps_the_image",
            ),
            (
                "data/datasets",
                "(self.train.min(axis=0), self.train.max(axis=0))",
                "(self.train.min(), self.train.max())",
                "datasets.py::test_data_range_is_per_coordinate_for_points_and_fixed_for_images",
            ),
            # runs
            ("runs/run", "x = x[:, :height, :width]", "x = x[:, -height:, -width:]", CROPPED),
            (
                "runs/config",
                "tuple(-(-n // factor) * factor for n in size)",
                "tuple(n // factor * factor for n in size)",
                CROPPED,
            ),
            ("runs/run", "return units.to_file_units(x) if units and x.ndim == 2 else x", "return x", OWN_UNITS),
            (
                "runs/run",
                "return units.to_file_units(x) if units and x.ndim == 2 else x",
                "return units.to_file_units(x) if units else x",
                CROPPED,
            ),
            ("commands/sample", "run.in_data_units(array) for name, array in", "array for name, array in", OWN_UNITS),
            ("commands/info", "own = data.units.to_file_units(ends) if data.units else ends", "own = ends", INFO),
            # pictures
            ("plotting", "1 - images[..., 3:] * (1 - images[..., :3])", "images[..., :3] * images[..., 3:]", OPACITY),
            ("plotting", "colours = to_grey_or_rgb((images.clip(-1, 1) + 1) / 2)", "colours = (images.clip(-1, 1) + 1) / 2", OPACITY),
            ("plotting", 'of {x.shape[1]}" if x.shape[1] > 2', 'of {x.shape[1]}" if x.shape[1] > 9', CLOUD),
            ("plotting", "axes.set_box_aspect(1)", "axes.set_aspect('equal')", CLOUD),
        ),
    )
)
