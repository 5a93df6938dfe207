"""The command line: ``python -m reference``."""

from reference.commands.interrupts import end_on_interrupt
from reference.runs.launch import use_one_blas_thread

if __name__ == "__main__":  # before the imports that take time
    end_on_interrupt("python -m reference")
    use_one_blas_thread()

from reference.commands.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
