"""``info`` on a port: the reference's, and without ``--data``, of every shipped port whether it works here."""

import accelerated
from reference.commands import info

add_options = info.add_options


def execute(arguments, ops):
    status = info.execute(arguments, ops)
    if arguments.data is not None:
        return status
    picked = accelerated.pick()
    for word, name in accelerated.SHIPPED.items():
        reason = accelerated.missing(accelerated.load(name))
        works = "works, and is picked" if word == picked else "works"
        print(f"--port {word:5}  {f'does not work here: {reason}' if reason else works}")
    return status
