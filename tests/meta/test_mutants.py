"""Each known mistake, made in a copy of the code, must be caught by the test named beside it, with an AssertionError."""

import functools
import importlib
import re
import shutil
from pathlib import Path

import pytest

from tests.meta import pytest_runs

ROOT = Path(__file__).parents[2]
COPIED = ("reference", "accelerated", "benchmarks", "tests", "setup.cfg", "README.md")
FILES = sorted(path.stem for path in Path(__file__).parent.glob("mutants*.py"))
MUTANTS = [mutant for name in FILES for mutant in importlib.import_module(f"tests.meta.{name}").MUTANTS]


def copy_of_the_code(folder):
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("kernels-*"))
        elif source.exists():
            shutil.copy(source, folder / name)
    return folder


def run(folder, *tests):
    """(exit code, output) of pytest inside a copy, so that the copy is what the tests import."""
    return pytest_runs.run(folder, folder / "pytest.out", *tests)


def run_own(folder, *tests):
    """``run`` of tests that the copy holds: that a property fails is enough, its smallest failure is not searched for."""
    return run(folder, *([] if any(map(pytest_runs.is_simulated, tests)) else ["--hypothesis-profile=mutants"]), *tests)


def change(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1, f"the text to change occurs {text.count(old)} times in {path.name}:\n{old}"
    path.write_text(text.replace(old, new))
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()


def failed_by_assertion(code, output):
    """Did a test run and come out with an AssertionError?  In a group of errors the lines begin with a bar."""
    return code == pytest.ExitCode.TESTS_FAILED and bool(re.search(r"^[\s|]*AssertionError\b", output, re.MULTILINE))


@pytest.fixture(scope="session")
def complaint(tmp_path_factory):
    """What a test says in a copy without any mistake, nothing if it passes.  All tests of a file are asked together, then one by one.

    Those of the GPU port run in the simulator, in a process of their own.
    """
    folder = copy_of_the_code(tmp_path_factory.mktemp("unchanged"))

    @functools.cache
    def all_pass(file, simulated):
        alike = {test for *_, test in MUTANTS if test.startswith(f"{file}::") and pytest_runs.is_simulated(test) == simulated}
        return run_own(folder, *sorted(alike))[0] == pytest.ExitCode.OK

    @functools.cache
    def of(test):
        if all_pass(test.partition("::")[0], pytest_runs.is_simulated(test)):
            return ""
        code, output = run_own(folder, test)
        return "" if code == pytest.ExitCode.OK else output

    return of


def label(mutant):
    file, old, _, _ = mutant
    return f"{Path(file).stem}-{re.sub(r'[^A-Za-z0-9_]+', ' ', old).strip()[:40]}"


@pytest.mark.mutants
@pytest.mark.parametrize("mutant", MUTANTS, ids=label)
def test_mistake_is_caught(mutant, complaint, tmp_path):
    file, old, new, test = mutant
    assert not complaint(test), f"{test} does not pass on the code as it is:\n{complaint(test)}"
    change(copy_of_the_code(tmp_path) / file, old, new)
    code, output = run_own(tmp_path, test)
    assert failed_by_assertion(code, output), f"{test} did not fail with an AssertionError:\n{output}"


@pytest.mark.mutants
def test_the_copy_is_what_a_test_imports(tmp_path):
    copy_of_the_code(tmp_path)
    probe = tmp_path / "tests" / "reference" / "test_probe.py"
    probe.write_text(
        f"import reference\n\ndef test_origin():\n    assert reference.__file__ == {str(tmp_path / 'reference' / '__init__.py')!r}\n"
    )
    code, output = run(tmp_path, "tests/reference/test_probe.py")
    assert code == pytest.ExitCode.OK, output


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
        assert (ROOT / file).is_file() and (ROOT / test.partition("::")[0]).is_file()
        assert (ROOT / file).read_text().count(old) == 1 and old != new, f"{file}: {old}"
