"""Animations, drawn with matplotlib and written as GIFs."""

import io

import numpy as np

from reference.plotting import (
    PATH_COLORS,
    draw_cloud,
    draw_image,
    histogram,
    mosaic,
    new_figure,
    subplots,
)


def reverse_process_animation(stages, title):
    """(figure, updates) for ``gif_bytes``: ``stages``, [(t, x)] from noise to samples, one frame
    each.  Images [n,h,w,c] are drawn as a grid, points as in ``sample_sheet``, over the range of
    the last stage and a quarter of it on either side.
    """
    draw = _animated_grid if stages[0][1].ndim == 4 else _animated_points
    figure, axes, show = draw([x for _, x in stages], title)

    def updates():
        for t, x in stages:
            show(x)
            axes.set_title(f"t = {t:.4g}", fontsize=10)
            yield

    return figure, updates()


def _animated_grid(states, title):
    """(figure, axes, a function that shows images).  Noise is scaled down to stay in range."""
    columns = int(np.ceil(np.sqrt(len(states[0]))))
    grid = lambda x: mosaic(x / max(1.0, float(np.abs(x).max()) / 2), columns)
    first = grid(states[0])
    figure = new_figure(3.0, 3.0 * first.shape[0] / first.shape[1] + 0.6)
    figure.suptitle(title, fontsize=10)
    axes = figure.subplots()
    draw_image(axes, first, "")
    drawn = axes.images[0]
    return figure, axes, lambda x: drawn.set_data(grid(x).squeeze())


def _animated_points(states, title):
    """(figure, axes, a function that shows points [n,d])."""
    last = states[-1][:, :2]
    low, high = last.min(axis=0), last.max(axis=0)
    low, high = low - (high - low) / 4, high + (high - low) / 4
    figure, ((axes,),) = subplots(1, 1, 4.2, 4.2, title)
    if last.shape[1] == 1:
        edges = np.linspace(low[0], high[0], 61)
        density = lambda x: np.histogram(x, edges)[0] / (len(x) * np.diff(edges))
        drawn = histogram(axes, states[-1][:, 0], edges)
        axes.set(xlabel="x", ylabel="density", xlim=(low[0], high[0]))
        return figure, axes, lambda x: drawn.set_data(density(x[:, 0]))
    draw_cloud(axes, last)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    return figure, axes, lambda x: axes.lines[0].set_data(x[:, 0], x[:, 1])


def gif_bytes(figure, updates, description="", milliseconds=80, hold=12):
    """The bytes of an animation with ``description`` in its metadata.  ``updates`` is a generator
    that changes the figure; each of its items becomes a frame.

    A frame lasts ``milliseconds``, the first and the last ``hold`` times as long.
    """
    from PIL import Image

    frames = _render_frames(figure, updates)
    palette = _with_swatches(frames[-1], PATH_COLORS).quantize(256)
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [milliseconds] * len(frames)
    durations[0] = durations[-1] = hold * milliseconds
    stream = io.BytesIO()
    frames[0].save(
        stream,
        "GIF",
        comment=description.encode(),
        save_all=True,
        append_images=frames[1:],
        duration=durations,
        loop=0,
        optimize=False,
    )
    return stream.getvalue()


def _render_frames(figure, updates):
    from PIL import Image

    figure.set_dpi(100)
    frames = []
    for _ in updates:
        figure.canvas.draw()
        frames.append(Image.fromarray(np.array(figure.canvas.buffer_rgba())).convert("RGB"))
        figure.set_layout_engine("none")  # only the first frame is laid out, so the axes stay put
    return frames


def _with_swatches(image, colors, height=16):
    """The image above one strip per colour, so that a palette computed from it contains the colours
    of thin lines, too.
    """
    from PIL import Image

    sheet = Image.new("RGB", (image.width, image.height + height * len(colors)))
    sheet.paste(image)
    for i, color in enumerate(colors):
        top = image.height + i * height
        sheet.paste(color, (0, top, image.width, top + height))
    return sheet
