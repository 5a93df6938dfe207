"""Every test here is of a ``port``; a test of a single op comes before those of what is made of ops."""

from pathlib import Path

from tests.ports import HERE, port_of

OF_OPS = ("test_ops", "test_sizes", "test_calls")
ORDER = (*OF_OPS, "test_networks", "test_training", "test_samplers")


def stage(module):
    return module.__name__.rpartition(".")[2]


def pytest_generate_tests(metafunc):
    if "port" in metafunc.fixturenames:
        oracle = metafunc.module and stage(metafunc.module) in OF_OPS  # of what is made of ops, the reference is the measure
        ports = metafunc.config.getoption("port") or HERE[0 if oracle else 1 :]
        metafunc.parametrize("port", [port_of(name) for name in ports], ids=lambda port: Path(port.name).name)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: ORDER.index(stage(item.module)) if stage(item.module) in ORDER else len(ORDER))
