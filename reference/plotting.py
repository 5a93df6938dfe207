"""Pictures, drawn with matplotlib.

The module imports matplotlib when it draws the first figure, and never uses pyplot, so that it
shares no state with the caller's own plots.

The first half draws whole figures for the command line, the second half draws the parts of other
figures.
"""

import io
import textwrap

import numpy as np

# Okabe and Ito 2008: colours that colour-blind readers can tell apart
SKY = "#56B4E9"
BLUE = "#0072B2"
VERMILION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
ORANGE = "#E69F00"
BLACK = "#000000"
GREY = "#777777"
PATH_COLORS = (VERMILION, GREEN, BLACK, PURPLE, ORANGE, BLUE)


def new_figure(width, height):
    """A matplotlib Figure without axes; the size is in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # margins in inches, so that no text touches an edge
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def png_bytes(figure, description=""):
    """The bytes of a PNG with ``description`` in its metadata."""
    stream = io.BytesIO()
    metadata = {"Description": description, "Software": None}
    figure.savefig(stream, format="png", dpi=120, metadata=metadata)
    return stream.getvalue()


def to_grey_or_rgb(images):
    """images [n,h,w,c] in [0, 1] as grey [n,h,w,1] or RGB [n,h,w,3].  Two channels become red and
    green; a fourth channel is opacity over white.  ValueError for more than 4 channels.
    """
    channels = images.shape[3]
    if channels == 2:
        return np.concatenate((images, np.zeros_like(images[..., :1])), axis=3)
    if channels == 4:
        return 1 - images[..., 3:] * (1 - images[..., :3])
    if channels not in (1, 3):
        raise ValueError(f"images must have 1 to 4 channels to be drawn, got {channels}")
    return images


def mosaic(images, columns):
    """images [n,h,w,c] in [-1, 1] -> one image in [0, 1]: the images row by row, with a grey line
    between them.
    """
    colours = to_grey_or_rgb((images.clip(-1, 1) + 1) / 2)
    n, h, w, c = colours.shape
    rows = -(-n // columns)
    sheet = np.full((rows, h + 1, columns, w + 1, c), 0.35)
    for i in range(n):
        sheet[i // columns, :h, i % columns, :w] = colours[i]
    return sheet.reshape(rows * (h + 1), columns * (w + 1), c)[:-1, :-1]


def mosaic_by_class(images, labels, classes, columns):
    """``mosaic`` of images [n,h,w,c] with labels [n]: a row a class, which ends in black where the
    class has fewer images than ``columns``.
    """
    shape = images.shape[1:]
    rows = np.full((classes, columns, *shape), -1.0)
    for label in range(classes):
        own = images[labels == label]
        rows[label, : len(own)] = own
    return mosaic(rows.reshape(-1, *shape), columns)


def draw_image(axes, image, title):
    """Draw image [h,w,1] or [h,w,3] in [0, 1] without axes."""
    grey = image.shape[2] == 1
    axes.imshow(
        image[..., 0] if grey else image,
        cmap="gray" if grey else None,
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    axes.set_title(title)
    axes.set_axis_off()


def sample_sheet(groups, title="", distribution=None, columns=None):
    """Groups of samples of one kind, name -> x, side by side.  Images [n,h,w,c] are drawn as grids
    with ``columns``, points [n,1] as histograms, [n,2] as point clouds, [n,d] by their first two
    coordinates.

    ``distribution``: the mixture that generated points [n,1], drawn over their histograms.
    """
    first = next(iter(groups.values()))
    if first.ndim == 4:
        return _image_sheet(groups, title, columns or int(np.ceil(np.sqrt(len(first)))))
    return _point_sheet(groups, title, distribution)


def _image_sheet(groups, title, columns):
    n, h, w, _ = next(iter(groups.values())).shape
    figure, panels = _panel_row(groups, title, -(-n // columns) / columns * h / w)
    for axes, (name, images) in zip(panels, groups.items()):
        draw_image(axes, mosaic(images, columns), name)
    return figure


def class_sheet(groups, names, title=""):
    """Groups of images, name -> (images [n,h,w,c], labels [n]), side by side.  Each class is a row
    with its name from ``names``; a class with fewer images than another ends in black.
    """
    columns = max(np.bincount(labels).max() for _, labels in groups.values())
    shape = next(iter(groups.values()))[0].shape[1:]
    ratio = len(names) / columns * shape[0] / shape[1]
    margin = 0.3 + 0.09 * max(map(len, names))  # room for the names
    figure, panels = _panel_row(groups, title, ratio, margin)
    for axes, (name, (images, labels)) in zip(panels, groups.items()):
        draw_image(axes, mosaic_by_class(images, labels, len(names), columns), name)
    for label, name in enumerate(names):
        middle = (shape[0] + 1) * (label + 0.5)
        panels[0].text(-shape[1] / 4, middle, name, ha="right", va="center")
    return figure


def _point_sheet(groups, title, distribution):
    """All panels show the range of the first group, the real data, and a quarter of it on either
    side.  A panel's title counts the samples outside.
    """
    first = next(iter(groups.values()))
    on_line = first.shape[1] == 1
    figure, panels = _panel_row(groups, title, 0.8 if on_line else 1.0)
    low, high = first[:, :2].min(axis=0), first[:, :2].max(axis=0)
    low, high = low - (high - low) / 4, high + (high - low) / 4
    for axes, (name, x) in zip(panels, groups.items()):
        outside = int(((x[:, :2] < low) | (x[:, :2] > high)).any(axis=1).sum())
        name = f"{name}; coordinates 1 and 2 of {x.shape[1]}" if x.shape[1] > 2 else name
        axes.set_title(f"{name}; {outside} outside" if outside else name)
        axes.set_xlim(low[0], high[0])
        if on_line:
            _draw_histogram(axes, x[:, 0], low[0], high[0], distribution)
        else:
            draw_cloud(axes, x)
            axes.set_ylim(low[1], high[1])
    return figure


def _panel_row(groups, title, ratio, margin=0.0):
    """(figure, one panel for each group): the height of a panel is ``ratio`` times its width.
    ``margin``: inches for text on the left.
    """
    width = 4.2 if len(groups) > 1 else 6
    figure = new_figure(width * len(groups) + margin, width * ratio + (0.9 if title else 0.5))
    figure.suptitle(title, fontsize=12)
    return figure, figure.subplots(1, len(groups), squeeze=False, sharey=True)[0]


def draw_cloud(axes, x):
    markersize = max(2, 8 - len(x) // 100)
    axes.plot(x[:, 0], x[:, 1], ".", color=BLUE, markersize=markersize, alpha=0.6)
    axes.set(xlabel="first coordinate", ylabel="second coordinate")
    axes.set_box_aspect(1)


def _draw_histogram(axes, x, low, high, distribution):
    bins = max(10, min(200, int(3 * len(x) ** 0.5)))
    histogram(axes, x, np.linspace(low, high, bins + 1), "histogram")
    if distribution is not None:
        line = np.linspace(low, high, 1000)
        density = np.exp(distribution.log_density(line[:, None]))
        axes.plot(line, density, color=VERMILION, label="density of the data")
        axes.legend(fontsize=9)
    axes.set(xlabel="x", ylabel="density")


def restoration_sheet(pictures, samples, deviation, title, unknown=None):
    """``pictures``, name -> image [h,w,c] in [-1, 1], in a row that ends in the map
    ``deviation``[h,w] with its scale; below it samples [n,h,w,c].  Without samples and deviation,
    None, the pictures alone.

    ``unknown``[h,w]: the pixels that the picture called degraded lacks, in blue.
    """
    h, w, _ = next(iter(pictures.values())).shape
    columns, heights = len(pictures), [2.4 * h / w]
    if samples is not None:
        columns, n = columns + 1, len(samples)
        rows = -(-n // max(columns, 8, int(np.ceil(n**0.5))))
        across = -(-n // rows)
        heights.append(2.4 * columns / max(columns, across) * rows * h / w)
    figure = new_figure(2.4 * columns + 0.6, sum(heights) + 0.4 + 0.4 * len(heights))
    figure.suptitle(title, fontsize=12)
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    for column, (name, image) in enumerate(pictures.items()):
        drawn = mosaic(image[None], 1)
        if name == "degraded" and unknown is not None:
            drawn, name = _marked(drawn, unknown), "degraded; blue: unknown"
        draw_image(figure.add_subplot(grid[0, column]), drawn, name)
    if samples is not None:
        _draw_deviation(figure.add_subplot(grid[0, -1]), deviation)
        draw_image(figure.add_subplot(grid[1, :]), mosaic(samples, across), f"{n} samples")
    return figure


def _marked(image, where):
    """image [h,w,1] or [h,w,3] in colours, with SKY at ``where``[h,w]."""
    from matplotlib.colors import to_rgb

    return np.where(where[..., None], to_rgb(SKY), image)


def _draw_deviation(axes, deviation):
    image = axes.imshow(deviation, cmap="magma", vmin=0, interpolation="nearest")
    axes.set_title("standard deviation")
    axes.set_axis_off()
    axes.figure.colorbar(image, ax=axes, pad=0.02, label="pixels from -1 to 1")


def attention_sheet(images, words, maps, title):
    """A row for each of the images [n,h,w,c] in [-1, 1]: the image, then the map of each of its
    ``words`` [n][..] in ``maps`` [n,h,w,m].  A line in a map surrounds the pixels of the image that
    are brighter than half in a channel.
    """
    n, h, w, _ = images.shape
    columns, largest = 1 + max(map(len, words)), maps.max()
    width = 1.2 * columns + 1
    lines = textwrap.wrap(title, int(11 * width))
    figure = new_figure(width, n * (1.2 * h / w + 0.3) + 0.2 * len(lines) + 0.3)
    figure.suptitle("\n".join(lines), fontsize=12)
    panels = figure.subplots(n, columns, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for row, image, own, shares in zip(panels, images, words, maps):
        draw_image(row[0], mosaic(image[None], 1), "sample")
        bright = image.max(axis=2)
        for axes, word, share in zip(row[1:], own, np.moveaxis(shares, 2, 0)):
            # one scale for all panels: shares of a whole compare between words and samples
            heat = axes.imshow(share, "magma", vmin=0, vmax=largest, interpolation="nearest")
            if bright.min() < 0 < bright.max():  # else there is no line
                axes.contour(bright, [0.0], colors="white", linewidths=0.6)
            axes.set_title(word)
    figure.colorbar(heat, ax=panels, label="share of attention", fraction=0.03, pad=0.02)
    return figure


def loss_curve(entries, levels, title, ylabel):
    """The loss of each step in ``entries``, the entries of log.jsonl, with its running median.
    ``levels``, name -> loss, are drawn as horizontal lines for comparison.
    """
    step, loss = (np.array([entry[name] for entry in entries]) for name in ("step", "loss"))
    figure, ((axes,),) = subplots(1, 1, 7.5, 4.5, title)
    axes.plot(step, loss, ".", markersize=2, color=SKY, alpha=0.4, label="loss of a batch")
    width = max(1, len(loss) // 50)
    blocks = [slice(i, i + width) for i in range(0, len(loss), width)]
    axes.plot(
        [step[block].mean() for block in blocks],
        [np.median(loss[block]) for block in blocks],
        color=BLUE,
        label=f"median of {width} steps",
    )
    styles = zip(("--", ":", "-."), (VERMILION, GREEN, PURPLE))
    for (name, level), (style, color) in zip(levels.items(), styles):
        axes.axhline(level, color=color, linestyle=style, label=name)
    axes.set(
        xlabel="training step",
        ylabel=ylabel,
        yscale="log" if min(loss.min(), *levels.values(), 1) > 0 else "linear",
    )
    axes.legend(fontsize=9)
    return figure


def filmstrip(stages, title):
    """``stages``: [(t, images [n,h,w,c])] from noise to image.  One row per sample, one column per
    time.  Stages with large values are scaled down to stay in range.
    """
    n, h, w, c = stages[0][1].shape
    scaled = [images / max(1.0, np.abs(images).max() / 2) for _, images in stages]
    columns = len(stages)
    figure = new_figure(0.9 * columns, 0.9 * n * h / w + 0.8)
    axes = figure.subplots()
    figure.suptitle(title, fontsize=12)
    images = np.stack(scaled, axis=1).reshape(n * columns, h, w, c)
    draw_image(axes, mosaic(images, columns), "")
    axes.set_axis_on()
    axes.set(yticks=[], xlabel="time t of the reverse process")
    centres = [(w + 1) * (i + 0.5) - 1 for i in range(columns)]
    axes.set_xticks(centres, [str(t) for t, _ in stages])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


# Parts of other figures


def subplots(rows, columns, width, height, title, note="", **options):
    """(figure, axes [rows,columns]) with a title, and a note below the axes.  ``options`` go to
    matplotlib's ``subplots``.
    """
    figure = new_figure(width, height)
    figure.suptitle(title, fontsize=12)
    if note:
        figure.supxlabel(note, fontsize=9.5, color="#444444")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for each in axes.flat:
        each.grid(alpha=0.25)
        each.set_axisbelow(True)
    return figure, axes


def histogram(axes, draws, edges, label="", color=SKY, horizontal=False, fill=True):
    """The density of ``draws`` by bins: the share of all draws in a bin, divided by its width.
    Draws beyond the edges count in the total.
    """
    counts, _ = np.histogram(draws, edges)
    density = counts / (np.size(draws) * np.diff(edges))
    orientation = "horizontal" if horizontal else "vertical"
    return axes.stairs(
        density, edges, fill=fill, color=color, label=label, orientation=orientation, linewidth=1.4
    )


def density_map(axes, times, x, density, label="density", largest=None):
    """density[len(x), len(times)] as shades of blue with a colour scale; ``times`` and ``x`` are
    evenly spaced.
    """
    left, right = _cell_edges(times)
    low, high = _cell_edges(x)
    image = axes.imshow(
        density,
        extent=(left, right, low, high),
        origin="lower",
        aspect="auto",
        cmap="Blues",
        vmin=0,
        vmax=largest,
        interpolation="bilinear",
    )
    axes.grid(False)
    axes.set_facecolor(image.cmap(0.0))
    extend = "max" if largest else "neither"
    axes.figure.colorbar(image, ax=axes, label=label, pad=0.02, extend=extend)
    return image


def _cell_edges(v):
    """The outer edges of cells centred at evenly spaced ``v``."""
    half = (v[-1] - v[0]) / (len(v) - 1) / 2
    return v[0] - half, v[-1] + half


def confidence_band(axes, times, mean, deviation, color=GREY, label="mean ± 2 standard deviations"):
    """mean(t) as a line; two standard deviations on either side as dashed lines, shaded between."""
    low, high = mean - 2 * deviation, mean + 2 * deviation
    axes.fill_between(times, low, high, color=color, alpha=0.15, linewidth=0)
    axes.plot(times, low, color=color, linestyle="--", linewidth=1.2, label=label)
    axes.plot(times, high, color=color, linestyle="--", linewidth=1.2)
    axes.plot(times, mean, color=color, linewidth=1.2)


def read_description(path):
    """The description in a PNG or GIF that this module wrote.  ValueError, OSError or KeyError for
    any other file.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.format == "PNG":
                return image.info["Description"]
            return image.info["comment"].decode()
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from None
