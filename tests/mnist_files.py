"""A small Fashion-MNIST: images of the right size in the four files, and a server on loopback that answers as it is told."""

import contextlib
import gzip
import hashlib
import struct
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from reference.data import mnist

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(array):
    """The bytes of an IDX file of unsigned bytes."""
    return struct.pack(f">HBB{array.ndim}I", 0, 0x08, array.ndim, *array.shape) + array.tobytes()


def small_arrays(seed):
    """Images and labels to train on and to test with, by the name of the file."""
    random = np.random.default_rng(seed)
    sizes = ((24, 28, 28), (24,), (16, 28, 28), (16,))
    return {file: random.integers(0, 10 if len(size) == 1 else 256, size, np.uint8) for file, size in zip(FILES, sizes)}


ARRAYS = small_arrays(0)
CONTENTS = {file: idx(array) for file, array in ARRAYS.items()}
ZIPPED = {f"{file}.gz": gzip.compress(content) for file, content in CONTENTS.items()}
OTHER = {file: idx(array) for file, array in small_arrays(1).items()}


def small_source(name, contents, mirrors):
    """The data set's row with the hashes of other files."""
    hashes = {file: hashlib.sha256(content).hexdigest() for file, content in contents.items()}
    return replace(mnist.SOURCES[name], hashes=hashes, mirrors=tuple(mirrors))


def small_sets(mirrors=()):
    """Both data sets with small files: Fashion-MNIST has CONTENTS, MNIST has OTHER."""
    return {name: small_source(name, files, mirrors) for name, files in (("fashion-mnist", CONTENTS), ("mnist", OTHER))}


def write(folder, contents):
    """Files by their names, in a new folder."""
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


class Server(ThreadingHTTPServer):
    """``answers``: address -> bytes, or a function that writes the whole answer.  ``asked``: the addresses, in order."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.asked = {}, []

    @property
    def mirror(self):
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        answer = self.server.answers.get(self.path)
        if answer is None:
            self.send_error(404)
        elif callable(answer):
            answer(self)
        else:
            self.head(len(answer))
            self.wfile.write(answer)

    def head(self, length):
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *arguments):
        pass


def cut_short(content):
    """An answer that ends after half of the bytes that its header declares."""

    def answer(handler):
        handler.head(len(content))
        handler.wfile.write(content[: len(content) // 2])

    return answer


def held_back(content, begun, go):
    """An answer that sets the event ``begun`` after its first half, and waits for ``go`` before its second."""

    def answer(handler):
        handler.head(len(content))
        handler.wfile.write(content[: len(content) // 2])
        handler.wfile.flush()
        begun.set()
        go.wait(60)
        with contextlib.suppress(OSError):  # the other side may have been stopped
            handler.wfile.write(content[len(content) // 2 :])

    return answer


@contextlib.contextmanager
def serving():
    """A Server that answers within the context."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
