"""The command line: ``python -m reference``."""

from reference.commands.interrupts import end_on_interrupt

if __name__ == "__main__":  # before the imports that take time
    end_on_interrupt("python -m reference")

from reference.commands.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
