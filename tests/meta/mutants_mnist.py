"""Known mistakes in finding, checking and downloading MNIST and Fashion-MNIST: (file, exact old text, new text, test that must fail)."""

from itertools import starmap

from tests.meta.mutants_data import _mutant

READ = "mnist.py::test_files_of_a_folder_are_read_padded_and_split[train-images-idx3-ubyte-plain]"
BROKEN = "mnist.py::test_a_folder_with_a_broken_file_is_refused_naming_the_file"
ORDER = "mnist.py::test_data_dir_comes_before_the_environment_the_system_and_the_cache"
CACHE = "mnist.py::test_the_cache_lies_below_an_absolute_xdg_cache_home_else_below_home"
BAD = "mnist.py::test_a_bad_answer_leaves_no_file_and_the_next_try_starts_again"
MOVED = "data_dir.py::test_a_folder_that_was_moved_is_"
SAMPLE = "data_dir.py::test_sample_shows_data_that_are_here_and_downloads_none"

MUTANTS = tuple(
    starmap(
        _mutant,
        (
            # contents
            ("data/mnist", "np.pad(images, widths)", 'np.pad(images, widths, "edge")', READ),
            ("data/mnist", "scaled /= 127.5", "scaled /= 128", READ),
            ("data/datasets", "        test_x,\n        y,\n        test_y,\n", "        test_x,\n        y,\n        y,\n", READ),
            ("data/mnist", "if found != wanted:", "if False:", BROKEN + "[of mnist]"),
            ("data/mnist", "if array.dtype != np.uint8:", "if False:", BROKEN + "[signed bytes]"),
            # places
            (
                "data/mnist",
                "folder or os.environ.get(FOLDER_VARIABLE)",
                "os.environ.get(FOLDER_VARIABLE) or folder",
                ORDER,
            ),
            ("data/mnist", "return system if system.is_dir() else None", "return None", ORDER),
            ("data/download", "cache if os.path.isabs(cache) else", "cache if cache else", CACHE),
            # downloads
            ("data/download", "path = Path(scratch, file)", "path = Path(folder, file)", BAD + "[another file]"),
            (
                "data/download",
                "                os.replace(path, folder / file)\n",
                "",
                "mnist.py::test_a_download_fills_the_cache_once",
            ),
            (
                "data/download",
                "dir=folder) as scratch:\n        path = Path(scratch, file)",
                'dir=folder):\n        path = Path(folder, ".part")',
                "mnist.py::test_a_download_that_is_stopped_starts_again[Ctrl-C]",
            ),
            # runs
            ("runs/run", "return self.data_dir or (begun", "return (begun", MOVED + "named_again"),
            (
                "runs/run",
                "if begun and Path(begun).is_dir() else None",
                "if begun else None",
                MOVED + "found_by_the_environment",
            ),
            (
                "commands/train",
                'options | {"data_dir": str(Path(data_dir).absolute())}',
                'options | {"data_dir": str(data_dir)}',
                "data_dir.py::test_a_run_finds_the_folder_that_it_was_begun_with",
            ),
            ("commands/sample_pictures", "return None if run.needs_download() else run.data", "return run.data", SAMPLE),
            (
                "commands/train",
                "        run.loaded.append(padded)\n",
                "",
                "data_dir.py::test_a_command_reads_a_data_set_once[a new run]",
            ),
            (
                "commands/sample",
                "    if arguments.data_dir is not None:\n",
                "    if False:\n",
                "data_dir.py::test_every_command_refuses_a_wrong_folder_and_writes_nothing[of mnist-sample RUN --out OUT.png]",
            ),
        ),
    )
)
