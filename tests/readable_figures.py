"""A check for every figure: it has a title and labels, nothing crosses its edges, and its lines and shades are distinguishable."""

from itertools import combinations

from matplotlib.legend import Legend

EDGE = 2.0  # pixels that stay free at each edge


def assert_readable(figure):
    """Check a matplotlib figure; the message names the fault."""
    figure.canvas.draw()
    assert figure.get_suptitle(), "the figure has no title"
    _assert_inside(figure)
    for axes in figure.axes:
        if not axes.axison or axes.get_label() == "<colorbar>":
            continue
        for axis, name in ((axes.xaxis, "labelbottom"), (axes.yaxis, "labelleft")):
            ticks = len(axis.get_ticklocs()) and axis.get_tick_params().get(name, True)
            assert axis.get_label_text() or not ticks, "an axis has no label"
        for image in (*axes.images, *axes.collections):
            grey = image.get_array() is None or image.cmap.name == "gray"
            assert grey or image.colorbar is not None, "an image has no colour scale"
        styles = [(line.get_color(), line.get_linestyle(), line.get_marker()) for line in axes.lines]
        assert len(set(styles)) == len(styles), f"lines look alike: {styles}"


def _assert_inside(figure):
    width, height = figure.canvas.get_width_height()
    titles = [figure._suptitle, *(axes.title for axes in figure.axes)]
    labels = [label for axes in figure.axes if axes.axison for label in (axes.xaxis.label, axes.yaxis.label)]
    others = (*figure.texts, *(text for axes in figure.axes for text in axes.texts))
    texts = [text for text in (*titles, *labels, *others) if text.get_text().strip()]
    boxes = {text: text.get_window_extent() for text in (*texts, *figure.findobj(Legend))}
    for text, box in boxes.items():
        inside = box.x0 >= EDGE and box.y0 >= EDGE and box.x1 <= width - EDGE and box.y1 <= height - EDGE
        assert inside, f"{text} touches the edge of the picture: {box}"
    for one, other in combinations([title for title in titles if title in boxes], 2):
        assert not boxes[one].overlaps(boxes[other]), f"{one} and {other} overlap"
