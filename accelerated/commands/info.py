"""``info`` on a port: the reference's output, and without ``--data``, for every built-in port whether it works here."""

import accelerated
from reference.commands import info

add_options = info.add_options


def execute(arguments, ops):
    status = info.execute(arguments, ops)
    if arguments.data is not None:
        return status
    default = accelerated.default_port()
    for word, name in accelerated.BUILTIN_PORTS.items():
        reason = accelerated.unavailable_reason(accelerated.load_port(name))
        works = "works, and is the default" if word == default else "works"
        print(f"--port {word:5}  {f'does not work here: {reason}' if reason else works}")
    return status
