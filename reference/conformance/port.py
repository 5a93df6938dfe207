"""A port whose op calls can be observed: the one proxy that traces, counters and checks share."""

import functools

from reference.conformance.contract import OPS


class Proxy:
    """A port with every op called through ``around(name, op, args, kwargs)``, which returns the
    results of the call.

    All other attributes are the port's own.  A port without an op has no such attribute here
    either.
    """

    def __init__(self, port, around):
        self._port, self._around = port, around

    def __getattr__(self, name):
        attribute = getattr(self._port, name)
        if name not in OPS or not callable(attribute):
            return attribute

        @functools.wraps(attribute)
        def op(*args, **kwargs):
            return self._around(name, attribute, args, kwargs)

        vars(self)[name] = op  # networks look ops up at every call
        return op


class CheckedPort(Proxy):
    """A port under test, as the checks of this package take it.

    ``name`` is what the user typed.  ``builtin``: error messages are checked, too.  ``missing_ops``
    are the names of the ops that the port lacks.  ``whole`` is the port completed with the
    reference's ops, or None where that is impossible.  ``last_call`` is (name, arguments) of the
    last op called.
    """

    def __init__(self, name, port, builtin, missing_ops, whole):
        super().__init__(port, self._call)
        self.name, self.builtin, self.missing_ops, self.whole = name, builtin, missing_ops, whole
        self.last_call = None

    def _call(self, name, op, args, kwargs):
        self.last_call = name, args
        return op(*args, **kwargs)
