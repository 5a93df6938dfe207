"""Every test here is of a ``port``; a test of a single op comes before those of what is made of ops."""

from functools import cache

from tests.ports import SHIPPED, Port

ORDER = ("test_ops", "test_calls", "test_networks", "test_training", "test_samplers")

port_of = cache(Port)


def pytest_generate_tests(metafunc):
    if "port" in metafunc.fixturenames:
        ports = metafunc.config.getoption("port") or SHIPPED
        metafunc.parametrize("port", [port_of(name) for name in ports], ids=ports)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: ORDER.index(item.module.__name__.rpartition(".")[2]) if "conformance" in item.nodeid else len(ORDER))
