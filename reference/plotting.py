"""Pictures.  matplotlib is imported when the first one is drawn, and draws on canvases of its own:
nothing is shared with pyplot.

The upper half draws whole figures for the command line; the lower half are the pieces that other
figures are made of.
"""

import io

import numpy as np

# of Okabe and Ito 2008, which the colour-blind tell apart too
SKY, BLUE, VERMILION, GREEN, PURPLE, ORANGE, BLACK = (
    "#56B4E9",
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#000000",
)
PATH_COLORS = (VERMILION, GREEN, BLACK, PURPLE, ORANGE, BLUE)
GREY = "#777777"


def new_figure(width, height):
    """A matplotlib Figure of that size in inches, without axes yet."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # inches, so that no text touches an edge
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def png_bytes(figure, description=""):
    """The bytes of a PNG that says ``description`` about itself."""
    stream = io.BytesIO()
    figure.savefig(
        stream, format="png", dpi=120, metadata={"Description": description, "Software": None}
    )
    return stream.getvalue()


def in_colour(images):
    """images [n,h,w,c] in [0, 1] as grey [n,h,w,1] or RGB [n,h,w,3]: two channels are red and
    green, a fourth is opacity over white.
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
    """images [n,h,w,c] in [-1, 1] -> one image in [0, 1], row by row, with a light line between
    them.
    """
    colours = in_colour((images.clip(-1, 1) + 1) / 2)
    n, h, w, c = colours.shape
    rows = -(-n // columns)
    sheet = np.full((rows, h + 1, columns, w + 1, c), 0.35)
    for i in range(n):
        sheet[i // columns, :h, i % columns, :w] = colours[i]
    return sheet.reshape(rows * (h + 1), columns * (w + 1), c)[:-1, :-1]


def _show(axes, sheet, title):
    grey = sheet.shape[2] == 1
    axes.imshow(
        sheet[..., 0] if grey else sheet,
        cmap="gray" if grey else None,
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    axes.set_title(title)
    axes.set_axis_off()


def sample_sheet(groups, title="", distribution=None, columns=None):
    """Groups of samples of one kind, name -> x, side by side: images [n,h,w,c] as grids of
    ``columns``, points [n,1] as histograms, [n,2] as clouds, [n,d] as pairs of coordinates.

    All panels of points show the range of the first group, the real data, and a quarter of it on
    either side; a name says how many samples lie outside.  ``law``: the mixture that points on the
    line should come from, drawn over their histograms.
    """
    first = next(iter(groups.values()))
    if first.ndim == 4:
        columns = columns or int(np.ceil(np.sqrt(len(first))))
        figure, subplots = _side_by_side(
            groups, title, -(-len(first) // columns) / columns * first.shape[1] / first.shape[2]
        )
        for axes, (name, x) in zip(subplots, groups.items()):
            _show(axes, mosaic(x, columns), name)
        return figure
    figure, subplots = _side_by_side(groups, title, 0.8 if first.shape[1] == 1 else 1.0)
    low, high = first[:, :2].min(axis=0), first[:, :2].max(axis=0)
    low, high = low - (high - low) / 4, high + (high - low) / 4
    for axes, (name, x) in zip(subplots, groups.items()):
        outside = int(((x[:, :2] < low) | (x[:, :2] > high)).any(axis=1).sum())
        name = f"{name}; coordinates 1 and 2 of {x.shape[1]}" if x.shape[1] > 2 else name
        axes.set_title(f"{name}; {outside} outside" if outside else name)
        axes.set_xlim(low[0], high[0])
        if x.shape[1] == 1:
            _histogram_on_line(axes, x[:, 0], low[0], high[0], distribution)
        else:
            axes.plot(
                x[:, 0], x[:, 1], ".", color=BLUE, markersize=max(2, 8 - len(x) // 100), alpha=0.6
            )
            axes.set(xlabel="first coordinate", ylabel="second coordinate", ylim=(low[1], high[1]))
            axes.set_box_aspect(1)
    return figure


def _side_by_side(groups, title, ratio):
    """(figure, a panel a group): each as high as ``ratio`` times its width."""
    width = 4.2 if len(groups) > 1 else 6
    figure = new_figure(width * len(groups), width * ratio + (0.9 if title else 0.5))
    figure.suptitle(title, fontsize=12)
    subplots = figure.subplots(1, len(groups), squeeze=False, sharey=True)[0]
    return figure, subplots


def _histogram_on_line(axes, x, low, high, distribution):
    histogram(
        axes, x, np.linspace(low, high, max(10, min(200, int(3 * len(x) ** 0.5))) + 1), "histogram"
    )
    if distribution is not None:
        line = np.linspace(low, high, 1000)
        axes.plot(
            line,
            np.exp(distribution.log_density(line[:, None])),
            color=VERMILION,
            label="density of the data",
        )
        axes.legend(fontsize=9)
    axes.set(xlabel="x", ylabel="density")


def loss_curve(entries, levels, title, ylabel):
    """``entries``: of log.jsonl.  Each step's loss, its running median, and ``levels`` to compare
    it with, name -> loss.
    """
    step, loss = (np.array([entry[name] for entry in entries]) for name in ("step", "loss"))
    width = max(1, len(loss) // 50)
    figure, ((axes,),) = subplots(1, 1, 7.5, 4.5, title)
    axes.plot(step, loss, ".", markersize=2, color=SKY, alpha=0.4, label="loss of a batch")
    blocks = [slice(i, i + width) for i in range(0, len(loss), width)]
    axes.plot(
        [step[b].mean() for b in blocks],
        [np.median(loss[b]) for b in blocks],
        color=BLUE,
        label=f"median of {width} steps",
    )
    for (name, level), style, color in zip(
        levels.items(), ("--", ":", "-."), (VERMILION, GREEN, PURPLE)
    ):
        axes.axhline(level, color=color, linestyle=style, label=name)
    axes.set(
        xlabel="training step",
        ylabel=ylabel,
        yscale="log" if min(loss.min(), *levels.values(), 1) > 0 else "linear",
    )
    axes.legend(fontsize=9)
    return figure


def filmstrip(stages, title):
    """``stages``: [(t, images [n,h,w,c])] from noise to image: a row a sample, a column a time.
    Noise is dimmed to stay in range.
    """
    n, h, w, c = stages[0][1].shape
    dimmed = [images / max(1.0, np.abs(images).max() / 2) for _, images in stages]
    figure = new_figure(0.9 * len(stages), 0.9 * n * h / w + 0.8)
    axes = figure.subplots()
    figure.suptitle(title, fontsize=12)
    _show(axes, mosaic(np.stack(dimmed, axis=1).reshape(n * len(stages), h, w, c), len(stages)), "")
    axes.set_axis_on()
    axes.set(yticks=[], xlabel="time t of the reverse process")
    axes.set_xticks(
        [(w + 1) * (i + 0.5) - 1 for i in range(len(stages))], [str(t) for t, _ in stages]
    )
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


# Pieces of larger figures


def subplots(rows, columns, width, height, title, note="", **options):
    """(figure, axes [rows,columns]) with a title and, at the foot, a note.  ``options``: of
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
    """The density of ``draws`` by bins: shares of all draws, those beyond the edges too, over the
    widths.
    """
    counts, _ = np.histogram(draws, edges)
    density, orientation = (
        counts / (np.size(draws) * np.diff(edges)),
        "horizontal" if horizontal else "vertical",
    )
    return axes.stairs(
        density, edges, fill=fill, color=color, label=label, orientation=orientation, linewidth=1.4
    )


def density_map(axes, times, x, density, label="density", largest=None):
    """density[len(x), len(times)] as shades of blue with their scale; both axes evenly spaced."""
    (left, right), (low, high) = (_margins(v) for v in (times, x))
    options = {
        "origin": "lower",
        "aspect": "auto",
        "cmap": "Blues",
        "vmin": 0,
        "vmax": largest,
        "interpolation": "bilinear",
    }
    image = axes.imshow(density, extent=(left, right, low, high), **options)
    axes.grid(False)
    axes.set_facecolor(image.cmap(0.0))
    axes.figure.colorbar(
        image, ax=axes, label=label, pad=0.02, extend="max" if largest else "neither"
    )
    return image


def _margins(v):
    """The ends of evenly spaced ``v`` with half a step on either side."""
    half = (v[-1] - v[0]) / (len(v) - 1) / 2
    return v[0] - half, v[-1] + half


def confidence_band(axes, times, mean, deviation, color=GREY, label="mean ± 2 standard deviations"):
    """mean(t) as a line, two deviations on either side as lines and shade."""
    axes.fill_between(
        times, mean - 2 * deviation, mean + 2 * deviation, color=color, alpha=0.15, linewidth=0
    )
    axes.plot(times, mean - 2 * deviation, color=color, linestyle="--", linewidth=1.2, label=label)
    axes.plot(times, mean + 2 * deviation, color=color, linestyle="--", linewidth=1.2)
    axes.plot(times, mean, color=color, linewidth=1.2)


def gif_bytes(figure, updates, description="", milliseconds=80, hold=12):
    """The bytes of an animation: a frame after every item of ``updates``, a generator that changes
    the figure.

    A frame lasts ``milliseconds``, the first and the last ``hold`` times as long.
    """
    from PIL import Image

    figure.set_dpi(100)
    frames = []
    for _ in updates:
        figure.canvas.draw()
        frames.append(Image.fromarray(np.array(figure.canvas.buffer_rgba())).convert("RGB"))
        figure.set_layout_engine("none")  # laid out once: the axes stand still
    palette = _with_swatches(frames[-1], PATH_COLORS).quantize(256)
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [milliseconds] * len(frames)
    durations[0] = durations[-1] = hold * milliseconds
    stream, options = (
        io.BytesIO(),
        {
            "save_all": True,
            "append_images": frames[1:],
            "duration": durations,
            "loop": 0,
            "optimize": False,
        },
    )
    frames[0].save(stream, "GIF", comment=description.encode(), **options)
    return stream.getvalue()


def _with_swatches(image, colors, height=16):
    """The image above a strip of each colour, so that a palette made for it holds the colours of
    thin lines too.
    """
    from PIL import Image

    sheet = Image.new("RGB", (image.width, image.height + height * len(colors)))
    sheet.paste(image)
    for i, color in enumerate(colors):
        sheet.paste(
            color, (0, image.height + i * height, image.width, image.height + (i + 1) * height)
        )
    return sheet


def description_of(path):
    """What a PNG or a GIF of ours says about itself; ValueError, OSError or KeyError if it isn't
    one.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            return (
                image.info["Description"]
                if image.format == "PNG"
                else image.info["comment"].decode()
            )
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from None
