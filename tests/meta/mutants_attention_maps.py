"""Known mistakes in attention maps: (file, exact old text, new text, test that must fail)."""

MAPS, COMMAND = "reference/runs/attention_maps.py", "reference/commands/attention.py"
SAMPLE, PLOTTING = "reference/commands/sample.py", "reference/plotting.py"
TEST = "tests/reference/test_attention_maps.py::test_"
EXACT = TEST + "maps_are_the_softmax_of_queries_and_keys_over_all_blocks_and_evaluations"
GUIDED = TEST + "maps_of_a_guided_network_are_those_of_the_captions[everywhere]"
LARGE = TEST + "the_first_samples_of_a_large_batch_have_maps_and_all_outputs_keep_their_bits"
REPLAYED = TEST + "the_evaluation_of_the_samples_saves_nothing"
DEVICE = TEST + "maps_of_a_device_are_those_of_the_host"
PANELS = TEST + "the_picture_has_a_panel_for_each_word_and_one_colour_scale"
SAME_BITS = TEST + "samples_have_the_same_bits_with_a_picture_of_their_attention"
REFUSED = TEST + "bad_options_exit_2_in_one_line_and_draw_nothing"

MUTANTS = (
    (MAPS, 'if "cross_attentions" in name', 'if "down_blocks.1.cross_attentions" in name', EXACT),
    (MAPS, "self.total = self.total + self._shares", "self.total = self._shares", EXACT),
    (MAPS, "self.evaluations += 1", "self.evaluations = 1", EXACT),
    (MAPS, ".repeat(factor, axis=1).repeat(factor, axis=2)", ".repeat(factor, axis=2).repeat(factor, axis=1).swapaxes(1, 2)", EXACT),
    (MAPS, "self.head_width), ops)", "None), ops)", EXACT),
    (MAPS, "part = slice(self.count)", "part = slice(len(x) - self.count, None)", GUIDED),
    (MAPS, "min(n, MOST_SAMPLES)", "n", LARGE),
    (MAPS, "return self.network.forward(params, x, c, ops, labels, keep)", "return _, saved", LARGE),
    (
        MAPS,
        "return self.network.forward(params, x, c, ops, labels, keep)",
        "return self.network.forward(params, x, c, ops, labels)",
        REPLAYED,
    ),
    (MAPS, "self.tokens = to_host(labels[part], ops)", "self.tokens = np.zeros_like(to_host(labels[part], ops))", DEVICE),
    (PLOTTING, "zip(row[1:], own, np.moveaxis(shares, 2, 0))", "zip(row[1:], own, np.moveaxis(shares, 2, 0)[::-1])", PANELS),
    (PLOTTING, "1 + max(map(len, words)), maps.max()", "1 + max(map(len, words)), 1", PANELS),
    (PLOTTING, "if bright.min() < 0 < bright.max():", "if bright.min() < 1:", PANELS),
    (PLOTTING, "axes.set_title(word)", "pass", PANELS),
    (COMMAND, "x[: len(words)]", "x[-len(words) :]", SAME_BITS),
    (COMMAND, "of {self.maps.evaluations} evaluations", "of {self.maps.count} evaluations", SAME_BITS),
    (
        COMMAND,
        "Path(arguments.attention).resolve() ==",
        "arguments.attention ==",
        REFUSED + "[--attention ./s.png --out s.png---attention and --out must name two files, got s.png twice]",
    ),
    (SAMPLE, 'settings | {"attention": True}', "settings", SAME_BITS),
    (
        SAMPLE,
        "output_path(name, suffixes, option)",
        "output_path(name, suffixes)",
        REFUSED + "[--attention a.npz --out s.png---attention must end in .png, got a.npz]",
    ),
)
