"""``trace RUN``: one training step on the reference and on a port, op by op."""

from accelerated import missing_ops
from accelerated.trace import trace
from reference.data import mnist
from reference.runs.run import open_run


def add_options(parser):
    parser.add_argument("run", metavar="RUN", help="folder of a run, as train or demo wrote it")
    parser.add_argument("--data-dir", metavar="FOLDER", help=mnist.FOLDER_HELP)


def execute(arguments, ops):
    run = open_run(arguments.run, data_dir=arguments.data_dir)
    tracer = trace(run, ops, run.data)
    first, compared = tracer.first_mismatch(), [call for call in tracer.calls if call.error is not None]
    print(f"{'op':26} {'error/tolerance':>15} {'reference':>12} {'port':>12}   arguments")
    for call in compared:
        mark = "   <- the first beyond its tolerance" if call is first else ""
        print(f"{call.name:26} {call.ratio:15.3g} {1e3 * call.reference:9.3f} ms {1e3 * call.port:9.3f} ms   {call.shapes}{mark}")
    print()
    if missing := missing_ops(ops):
        print(f"{arguments.port} lacks {len(missing)} ops, which are not compared: {', '.join(missing)}")
    untested = [*tracer.uncalled_ops(), "other sizes"]
    print(f"not tested in this step: {', '.join(untested)}; python -m accelerated check --port {arguments.port} tests them")
    if first:
        print(first)
        return 1
    spent = [sum(getattr(call, side) for call in compared) for side in ("reference", "port")]
    largest = max((call.ratio for call in compared), default=0)
    print(f"{len(compared)} calls are within their tolerances, with errors up to {largest:.3g} of the tolerance;", end=" ")
    print(f"reference {1e3 * spent[0]:.1f} ms, port {1e3 * spent[1]:.1f} ms")
    return 0
