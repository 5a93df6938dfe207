"""Every test here checks a ``port``: its numbers, or a rule for calling its ops (test_calls.py).

Tests of single ops run before whole computations, and fixed sizes before drawn sizes, because a drawn failure may shrink to an image of
one pixel.  Tests of ops that a port lacks are deselected.  The run ends with three lines per port: numbers, calling rules, missing ops.
"""

from pathlib import Path
from types import SimpleNamespace

import pytest

from reference.conformance import suite
from reference.conformance.contract import OPS
from tests.ports import HERE, port_of

OF_OPS = ("test_ops", "test_sizes", "test_calls")
ORDER = (*OF_OPS, "test_networks", "test_training", "test_samplers")
OURS = r"error:::(reference|accelerated|tests)\."  # warnings from these modules fail a test of any port


def stage(module):
    return module.__name__.rpartition(".")[2]


def place(module):
    return ORDER.index(module) if module in ORDER else len(ORDER)


def pytest_configure(config):
    config.addinivalue_line("markers", "of_ops(*names): the ops that a test checks, where it has no parameter ``name``")


def pytest_generate_tests(metafunc):
    if "port" in metafunc.fixturenames:
        oracle = metafunc.module and stage(metafunc.module) in OF_OPS  # whole computations are compared with the reference
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
        item.user_properties.append(("conformance", (port.name, kind(item), rule(item), subject(item))))
        if not port.builtin:  # warnings of the port's library are no failure
            item.add_marker(pytest.mark.filterwarnings("default", OURS), append=False)


def ops_of(item):
    """The ops that a test checks; none for a whole computation."""
    mark = item.get_closest_marker("of_ops")
    names = mark.args if mark else (item.callspec.params.get("name"),)
    return [name for name in names if name in OPS]


def tried(item):
    """Has the port one of the ops of a test, or can the reference supply the missing ops of a whole computation?"""
    port, names = item.callspec.params["port"], ops_of(item)
    return any(name not in port.missing_ops for name in names) if names else port.whole is not None


def kind(item):
    return suite.RULES if stage(item.module) == "test_calls" else suite.NUMBERS


def rule(item):
    return item.originalname.removeprefix("test_").replace("_", " ")


def subject(item):
    """The op of a result, or the name of a whole computation."""
    return ops_of(item)[0] if ops_of(item) else item.name


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter, config):
    """Below the list of failures."""
    yield
    for source in config.getoption("port") or ():
        results = [
            SimpleNamespace(kind=kind, check=rule, op=op, blamed=culprit(report, op) if failed else None)
            for failed, outcomes in ((False, ("passed",)), (True, ("failed", "error")))
            for outcome in outcomes
            for report in terminalreporter.getreports(outcome)
            for port, kind, rule, op in (dict(report.user_properties).get("conformance", (None,) * 4),)
            if port == source
        ]
        terminalreporter.section(source)
        for line in suite.summary(results, port_of(source).missing_ops):
            terminalreporter.write_line(line)


def culprit(report, subject):
    """The op that the message of a failure begins with, else the subject of the test."""
    message = report.longrepr.reprcrash.message if hasattr(report.longrepr, "reprcrash") else ""
    return suite.blamed_op(message.removeprefix("AssertionError: "), subject)
