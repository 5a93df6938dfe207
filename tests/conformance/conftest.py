"""Every test here is of a ``port``: of its numbers, or of a rule by which its ops are called (test_calls.py).

Tests of single ops come before those of whole computations, and among them fixed sizes before drawn ones, whose smallest failure may be of
an image of one pixel.  Tests of ops that a port lacks are deselected.  The run ends in three lines on each port: numbers, calling rules
and missing ops.
"""

import re
from pathlib import Path

import pytest

from reference.conformance.contract import OPS
from tests.ports import HERE, port_of

OF_OPS = ("test_ops", "test_sizes", "test_calls")
ORDER = (*OF_OPS, "test_networks", "test_training", "test_samplers")
OURS = r"error:::(reference|accelerated|tests)\."  # warnings of these modules fail a test of any port


def stage(module):
    return module.__name__.rpartition(".")[2]


def place(module):
    return ORDER.index(module) if module in ORDER else len(ORDER)


def pytest_configure(config):
    config.addinivalue_line("markers", "of_ops(*names): the ops that a test is of, where it has no parameter ``name``")


def pytest_generate_tests(metafunc):
    if "port" in metafunc.fixturenames:
        oracle = metafunc.module and stage(metafunc.module) in OF_OPS  # of what is made of ops, the reference is the measure
        ports = metafunc.config.getoption("port") or HERE[0 if oracle else 1 :]
        metafunc.parametrize("port", [port_of(name) for name in ports], ids=lambda port: Path(port.name).name)


def pytest_collection_modifyitems(config, items):
    here = [item for item in items if item.path.parent == Path(__file__).parent]
    others = [item for item in items if item.path.parent != Path(__file__).parent]
    here.sort(key=lambda item: (place(stage(item.module)), getattr(item.function, "is_hypothesis_test", False)))
    config.hook.pytest_deselected(items=[item for item in here if not tried(item)])
    items[:] = [*filter(tried, here), *others]
    for item in filter(tried, here):
        port = item.callspec.params["port"]
        item.user_properties.append(("conformance", (port.name, stage(item.module), rule(item), subject(item))))
        if not port.builtin:  # what its own library warns of is no failure
            item.add_marker(pytest.mark.filterwarnings("default", OURS), append=False)


def ops_of(item):
    """The ops that a test is of; none for one of a whole computation."""
    mark = item.get_closest_marker("of_ops")
    names = mark.args if mark else (item.callspec.params.get("name"),)
    return [name for name in names if name in OPS]


def tried(item):
    """Has the port one of the ops that a test is of, or can the reference's take the place of those that a computation lacks?"""
    port, names = item.callspec.params["port"], ops_of(item)
    return any(name not in port.missing_ops for name in names) if names else port.whole is not None


def rule(item):
    return item.originalname.removeprefix("test_").replace("_", " ")


def subject(item):
    """The op that a result tells of, or a whole computation."""
    return ops_of(item)[0] if ops_of(item) else item.name


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter, config):
    """Below the list of failures."""
    yield
    for source in config.getoption("port") or ():
        results = [
            (kind, rule, name, culprit(report, name) if failed else None)
            for failed, outcomes in ((False, ("passed",)), (True, ("failed", "error")))
            for outcome in outcomes
            for report in terminalreporter.getreports(outcome)
            for port, kind, rule, name in (dict(report.user_properties).get("conformance", (None,) * 4),)
            if port == source
        ]
        missing = port_of(source).missing_ops
        terminalreporter.section(source)
        terminalreporter.write_line(f"numbers: {of_numbers([row for row in results if row[0] != 'test_calls'])}")
        terminalreporter.write_line(f"calling rules: {of_rules([row for row in results if row[0] == 'test_calls'])}")
        terminalreporter.write_line(f"missing: {len(missing)} of {len(OPS)} ops" + listed(": ", missing))


def culprit(report, name):
    """The op that a failure blames, with which reference/conformance/tolerances.py begins its sentence, else the test's own."""
    said = re.match(r"AssertionError: (\w+): ", report.longrepr.reprcrash.message) if hasattr(report.longrepr, "reprcrash") else None
    return said.group(1) if said and said.group(1) in OPS else name


def of_numbers(results):
    wrong = {blamed for *_, blamed in results if blamed}
    ops = {name for *_, name, _ in results if name in OPS} | (wrong & {*OPS})
    whole = {name for *_, name, _ in results if name not in OPS}
    right = whole - {name for *_, name, blamed in results if blamed}
    tried = f"{len(ops - wrong)} of {len(ops)} ops and {len(right)} of {len(whole)} whole computations that were tried"
    return f"{tried} agree with the reference" + listed("; wrong: ", sorted(wrong & {*OPS} or wrong))


def of_rules(results):
    tried, broken = {rule for _, rule, *_ in results}, {}
    for _, rule, _, blamed in results:
        if blamed:
            broken.setdefault(rule, set()).add(blamed)
    rows = [f"{rule} ({', '.join(sorted(names))})" for rule, names in broken.items()]
    return f"{len(tried) - len(broken)} of {len(tried)} that were tried are kept" + listed("; broken: ", sorted(rows))


def listed(before, names):
    return before + ", ".join(names) if names else ""
