"""Pictures for the command line.  Each function returns the bytes of a PNG; matplotlib is imported when the first one is drawn."""

import io

import numpy as np


def _figure(width, height):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure, description=""):
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120, metadata={"Description": description, "Software": None})
    return stream.getvalue()


def mosaic(images, columns):
    """images [n,h,w,c] in [-1, 1] -> one image in [0, 1], row by row, with a light line between them."""
    n, h, w, c = images.shape
    rows = -(-n // columns)
    sheet = np.full((rows, h + 1, columns, w + 1, c), 0.35)
    for i in range(n):
        sheet[i // columns, :h, i % columns, :w] = (images[i].clip(-1, 1) + 1) / 2
    return sheet.reshape(rows * (h + 1), columns * (w + 1), c)[:-1, :-1]


def _show(axes, sheet, title):
    single = sheet.shape[2] != 3
    axes.imshow(sheet[..., 0] if single else sheet, cmap="gray" if single else None, vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title)
    axes.set_axis_off()


def image_panels(groups, columns=8, description=""):
    """``groups``: title -> images [n,h,w,c]; one grid of images a group, side by side."""
    figure = _figure(4.2 * len(groups), 4.5)
    for axes, (title, images) in zip(np.atleast_1d(figure.subplots(1, len(groups))), groups.items()):
        _show(axes, mosaic(images, columns), title)
    return _png(figure, description)


def samples(x, title, description="", law=None):
    """Samples of any kind: images [n,h,w,c] as a grid, points [n,1] as a histogram, [n,2] as a cloud, [n,d] as pairs of coordinates.

    ``law``: the mixture that points on the line should come from, drawn over their histogram.
    """
    if x.ndim == 4:
        columns = int(np.ceil(np.sqrt(len(x))))
        figure = _figure(6, 6 * -(-len(x) // columns) / columns * x.shape[1] / x.shape[2] + 0.4)
        _show(figure.subplots(), mosaic(x, columns), title)
        return _png(figure, description)
    figure = _figure(6, 4 if x.shape[1] == 1 else 6)
    axes = figure.subplots()
    if x.shape[1] == 1:
        axes.hist(x[:, 0], bins=max(10, min(200, int(2 * len(x) ** 0.5))), density=True, color="C0", label="samples")
        if law is not None:
            low, high = axes.get_xlim()
            line = np.linspace(low, high, 1000)
            axes.plot(line, np.exp(law.log_density(line[:, None])), color="C1", label="density of the data")
            axes.legend()
        axes.set(xlabel="x", ylabel="density", title=title)
    else:
        axes.plot(x[:, 0], x[:, 1], ".", markersize=2, alpha=0.6)
        axes.set(xlabel="first coordinate", ylabel="second coordinate", title=title, aspect="equal")
    return _png(figure, description)


def loss_curve(entries, loss_of_zero, title):
    """``entries``: of log.jsonl.  Each step's loss, its running median, and the loss of predicting zero."""
    step, loss = (np.array([entry[name] for entry in entries]) for name in ("step", "loss"))
    width = max(1, len(loss) // 50)
    figure = _figure(7, 4)
    axes = figure.subplots()
    axes.semilogy(step, loss, ".", markersize=2, color="C0", alpha=0.4, label="loss of a batch")
    blocks = [slice(i, i + width) for i in range(0, len(loss), width)]
    axes.semilogy([step[b].mean() for b in blocks], [np.median(loss[b]) for b in blocks], color="C0", label=f"median of {width} steps")
    axes.axhline(loss_of_zero, color="C3", linestyle="--", label="loss of predicting zero")
    axes.set(xlabel="training step", ylabel="squared error per entry", title=title)
    axes.legend(loc="center right")
    axes.grid(alpha=0.3)
    return _png(figure)


def strip(stages, title):
    """``stages``: [(t, images [n,h,w,c])] from noise to image: a row a sample, a column a time.  Noise is dimmed to stay in range."""
    n, h, w, c = stages[0][1].shape
    dimmed = [images / max(1.0, np.abs(images).max() / 2) for _, images in stages]
    figure = _figure(0.9 * len(stages), 0.9 * n * h / w + 0.8)
    axes = figure.subplots()
    _show(axes, mosaic(np.stack(dimmed, axis=1).reshape(n * len(stages), h, w, c), len(stages)), title)
    axes.set_axis_on()
    axes.set(yticks=[], xlabel="time t of the reverse process")
    axes.set_xticks([(w + 1) * (i + 0.5) - 1 for i in range(len(stages))], [str(t) for t, _ in stages])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return _png(figure)
