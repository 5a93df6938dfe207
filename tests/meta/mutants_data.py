"""Known mistakes in reading data, its units and its pictures: (file, exact old text, new text, test that must fail)."""

from itertools import starmap


def _mutant(name, old, new, test):
    return f"reference/{name}.py", old, new, f"tests/reference/test_{test}"


FIRST_OR_LAST = "formats.py::test_channels_come_first_or_last_and_first_is_said"
NPZ_NAMES = "formats.py::test_npz_names_of_samples_and_labels"
TEST_SAMPLES = "formats.py::test_test_samples_come_last_and_are_held_out[True-x_train x_test y_train y_test]"
TABLE = "formats.py::test_a_table_has_a_point_a_line"
PICTURES = "formats.py::test_folders_in_a_folder_are_classes"
PALETTE = "formats.py::test_colours_of_a_palette_and_grey_with_opacity_are_read_as_colours"
WORDS = "units.py::test_whole_numbers_that_need_all_bits_of_a_byte_or_word_stand_in_its_range_and_others_in_their_own"
COLUMNS = "units.py::test_every_coordinate_has_mean_0_and_deviation_1_and_its_own_numbers_come_back"
SPACING = "units.py::test_the_spacing_is_that_of_the_coarsest_lattice_and_0_for_real_numbers"
OPACITY = "figures.py::test_opacity_is_drawn_over_white_and_two_channels_as_red_and_green"
CLOUD = "figures.py::test_a_cloud_says_which_coordinates_it_shows_and_is_no_line_in_unlike_units"
CROPPED = "command_line.py::test_samples_of_images_that_the_unet_can_not_halve_are_cropped"
OWN_UNITS = "command_line.py::test_samples_of_points_are_in_the_units_of_the_file"
INFO = "command_line.py::test_info_says_how_data_is_read_and_draws_it"

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
                "formats.py::test_other_shapes_are_refused[shape0]",
            ),
            (
                "data/formats",
                "        y = y[:, 0]\n",
                "        y = y[::-1, 0]\n",
                "formats.py::test_labels_may_stand_in_a_column_and_be_true_or_false",
            ),
            ("data/formats", '.replace("x", "y"), "y", "labels")', '.replace("x", "y"))', NPZ_NAMES + "[images-y]"),
            ("data/formats", "np.concatenate((x, test)), len(test)", "np.concatenate((x, test)), len(x)", TEST_SAMPLES),
            ("data/formats", "np.concatenate((y, test_y))", "np.concatenate((test_y, y))", TEST_SAMPLES),
            (
                "data/formats",
                "for each in (name, other))",
                "for each in (name,))",
                "formats.py::test_labels_are_found_beside_idx_images_whichever_of_the_two_is_gzipped[names0-False-True]",
            ),
            (
                "data/formats",
                "    if promised != held:\n",
                "    if promised < held:\n",
                "formats.py::test_a_broken_npy_file_is_refused_in_one_sentence",
            ),
            ("data/formats", "names, values = names[1:], values[:, 1:]", "pass", TABLE),
            (
                "data/formats",
                'character in ";\\t,"',
                'character in ",\\t;"',
                "formats.py::test_a_table_that_is_not_one_of_numbers_is_refused_with_the_line",
            ),
            (
                "data/formats",
                "        return math.isfinite(float(cell))",
                "        return not math.isnan(float(cell or 0))",
                "formats.py::test_a_table_that_is_not_one_of_numbers_is_refused_with_the_line",
            ),
            (
                "data/formats",
                "labels, values = values[:, column], np.delete(values, column, axis=1)",
                "labels = values[:, column]",
                "formats.py::test_a_column_called_label_holds_labels",
            ),
            ("data/formats", "for folder in sorted(path.iterdir()) if", "for folder in sorted(path.iterdir())[::-1] if", PICTURES),
            ("data/formats", "return size[::-1], mode", "return size, mode", PICTURES),
            ("data/formats", "image if image.mode == mode else image.convert(mode)", "image", PALETTE),
            ("data/formats", '"RGBA" if see_through else "RGB"', '"RGB"', PALETTE),
            (
                "data/formats",
                "    if head[24] == 16 and head[25] in (2, 4, 6):",
                "    if False:",
                "formats.py::test_pictures_that_can_not_be_read_are_refused_in_one_sentence[16-bit colours]",
            ),
            (
                "data/formats",
                "    if size[0] * size[1] * head[24]",
                "    if 0 * size[0] * size[1] * head[24]",
                "formats.py::test_pictures_that_can_not_be_read_are_refused_in_one_sentence[a lying header]",
            ),
            # units
            ("data/units", "    for bits in (8, 16):", "    for bits in (16,):", WORDS),
            ("data/units", "2 ** (bits - 1) <= largest", "0 <= largest", WORDS),
            ("data/units", "        if smallest >= 0 and", "        if", WORDS),
            (
                "data/units",
                "x.dtype == np.uint8 else np.float64\n",
                "False else np.float64\n",
                "units.py::test_bytes_are_scaled_to_the_same_bits_as_ever",
            ),
            (
                "data/units",
                "    return np.ldexp(x, -exponent, out=x), exponent",
                "    return x, 0 * exponent",
                "units.py::test_real_images_fill_minus_one_to_one_whatever_the_size_of_their_numbers",
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
                "datasets.py::test_a_files_own_test_samples_are_held_out_and_scaled_as_the_others",
            ),
            (
                "data/datasets",
                'widths, "edge")',
                'widths, "wrap")',
                "datasets.py::test_padding_goes_on_with_the_last_row_and_column_and_keeps_the_image",
            ),
            (
                "data/datasets",
                "(self.train.min(axis=0), self.train.max(axis=0))",
                "(self.train.min(), self.train.max())",
                "datasets.py::test_the_range_is_that_of_each_coordinate_of_the_training_points_and_all_of_minus_one_to_one_for_images",
            ),
            # runs
            ("runs/run", "x = x[:, :height, :width]", "x = x[:, -height:, -width:]", CROPPED),
            (
                "runs/run",
                "size = tuple(-(-n // factor) * factor for n in size)",
                "size = tuple(n // factor * factor for n in size)",
                CROPPED,
            ),
            ("runs/run", "return units.own(x) if units and x.ndim == 2 else x", "return x", OWN_UNITS),
            ("runs/run", "return units.own(x) if units and x.ndim == 2 else x", "return units.own(x) if units else x", CROPPED),
            ("commands/sample", "run.own(array) for name, array in", "array for name, array in", OWN_UNITS),
            ("commands/info", "own = data.units.own(ends) if data.units else ends", "own = ends", INFO),
            # pictures
            ("plotting", "1 - images[..., 3:] * (1 - images[..., :3])", "images[..., :3] * images[..., 3:]", OPACITY),
            ("plotting", "colours = to_grey_or_rgb((images.clip(-1, 1) + 1) / 2)", "colours = (images.clip(-1, 1) + 1) / 2", OPACITY),
            ("plotting", 'of {x.shape[1]}" if x.shape[1] > 2', 'of {x.shape[1]}" if x.shape[1] > 9', CLOUD),
            ("plotting", "axes.set_box_aspect(1)", "axes.set_aspect('equal')", CLOUD),
        ),
    )
)
