"""Each mutant, a known mistake, is applied to a copy of the code; the test named in its row must then fail with an AssertionError.

Mutants whose tests share a file form a group, the largest first: with --dist loadgroup one worker does a group.
"""

import contextlib
import functools
import importlib
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.meta import run_pytest

ROOT = Path(__file__).parents[2]
COPIED = ("reference", "accelerated", "benchmarks", "tests", "setup.cfg", "README.md")
FILES = sorted(path.stem for path in Path(__file__).parent.glob("mutants*.py"))
MUTANTS = [mutant for name in FILES for mutant in importlib.import_module(f"tests.meta.{name}").MUTANTS]
file_of = lambda mutant: mutant[3].partition("::")[0]
MUTANTS_OF = Counter(map(file_of, MUTANTS))
MUTANTS.sort(key=lambda mutant: (-MUTANTS_OF[file_of(mutant)], file_of(mutant)))


def copy_code(folder):
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("kernels-*"))
        elif source.exists():
            shutil.copy(source, folder / name)
    return folder


def run(folder, *tests, **options):
    """(exit code, output) of pytest inside a copy, so that the tests import the copied code."""
    return run_pytest.run(folder, folder / "pytest.out", *tests, **options)


def run_copied_tests(folder, *tests, **options):
    """``run`` of tests in the copy, without shrinking: one failing example of a property is enough."""
    return run(folder, *([] if any(map(run_pytest.is_simulated, tests)) else ["--hypothesis-profile=mutants"]), *tests, **options)


@contextlib.contextmanager
def mutated(path, old, new):
    """The file with the mistake, and afterwards as before.  Meanwhile it is of 1970, so that no bytecode of the original belongs to it."""
    text, before = path.read_text(), path.stat()
    assert text.count(old) == 1, f"the text to replace occurs {text.count(old)} times in {path.name}, not once:\n{old}"
    try:
        path.write_text(text.replace(old, new))
        os.utime(path, (0, 0))
        yield
    finally:
        path.write_text(text)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def failed_by_assertion(code, output):
    """True if a test ran and failed with an AssertionError.  Lines of an exception group begin with a bar."""
    return code == pytest.ExitCode.TESTS_FAILED and bool(re.search(r"^[\s|]*AssertionError\b", output, re.MULTILINE))


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A copy of the code: one for all mutants, which keeps the bytecode and the kernels of unchanged files."""
    return copy_code(tmp_path_factory.mktemp("copy"))


@pytest.fixture(scope="session")
def failure_output(folder):
    """The output of a test that fails in the unchanged copy, and "" for a test that passes.

    All tests of a file run together first, and one by one if any fails.  Tests of the GPU port run in the simulator, in a separate process.
    """

    @functools.cache
    def all_pass(file, simulated):
        group = {test for *_, test in MUTANTS if test.startswith(f"{file}::") and run_pytest.is_simulated(test) == simulated}
        return run_copied_tests(folder, *sorted(group), write_bytecode=True)[0] == pytest.ExitCode.OK

    @functools.cache
    def of(test):
        if all_pass(test.partition("::")[0], run_pytest.is_simulated(test)):
            return ""
        code, output = run_copied_tests(folder, test)
        return "" if code == pytest.ExitCode.OK else output

    return of


def label(mutant):
    file, old, _, _ = mutant
    return f"{Path(file).stem}-{re.sub(r'[^A-Za-z0-9_]+', ' ', old).strip()[:40]}"


@pytest.mark.mutants
@pytest.mark.parametrize("mutant", [pytest.param(m, id=label(m), marks=pytest.mark.xdist_group(file_of(m))) for m in MUTANTS])
def test_mistake_is_caught(mutant, folder, failure_output):
    file, old, new, test = mutant
    assert not failure_output(test), f"{test} fails on the unchanged code:\n{failure_output(test)}"
    with mutated(folder / file, old, new):
        code, output = run_copied_tests(folder, test)
    assert failed_by_assertion(code, output), f"{test} did not fail with an AssertionError:\n{output}"


@pytest.mark.mutants
def test_tests_in_the_copy_import_the_copied_code(tmp_path):
    copy_code(tmp_path)
    probe = tmp_path / "tests" / "reference" / "test_probe.py"
    probe.write_text(
        f"import reference\n\ndef test_origin():\n    assert reference.__file__ == {str(tmp_path / 'reference' / '__init__.py')!r}\n"
    )
    code, output = run(tmp_path, "tests/reference/test_probe.py")
    assert code == pytest.ExitCode.OK, output


def test_a_mistake_stays_in_its_file_for_its_own_test_only(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("one\n")
    before = path.stat().st_mtime_ns
    with mutated(path, "one", "two"):
        assert path.read_text() == "two\n" and path.stat().st_mtime_ns == 0
    assert path.read_text() == "one\n" and path.stat().st_mtime_ns == before
    with pytest.raises(AssertionError, match="occurs 0 times"), mutated(path, "two", "one"):
        pass


@pytest.mark.mutants
@pytest.mark.parametrize(
    "body, caught",
    [
        ("assert 1 == 2", True),
        ("raise AssertionError('wrong')", True),
        ("assert 1 == 1", False),
        ("raise ValueError('AssertionError')", False),
        ("raise ExceptionGroup('two', [ValueError('a'), AssertionError('b')])", True),
        ("import a_module_that_is_not_there", False),
        ("return 1 +", False),
    ],
)
def test_only_an_assertion_counts_as_caught(body, caught, tmp_path):
    (tmp_path / "test_probe.py").write_text(f"def test_body():\n    {body}\n")
    assert failed_by_assertion(*run(tmp_path, "test_probe.py")) == caught


def test_every_mutant_names_a_file_and_a_test_of_this_repository():
    for file, old, new, test in MUTANTS:
        path, _, name = test.partition("::")
        assert (ROOT / file).is_file() and f"def {name.partition('[')[0]}(" in (ROOT / path).read_text(), test
        assert (ROOT / file).read_text().count(old) == 1 and old != new, f"{file}: {old}"
