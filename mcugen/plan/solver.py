"""Exact offsets by a constraint solver (CP-SAT of OR-tools, the `plan` extra).

Nothing depends on time or on the number of processors: one worker, a fixed seed, and a limit that
counts the solver's own steps.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module

from mcugen.errors import fail
from mcugen.plan.buffers import ALIGNMENT, Buffer, Rules

#: Of the solver's deterministic time: units of about a second of one processor.
LIMIT = 30.0


def solved(
    buffers: Sequence[Buffer], pairs: Rules, offsets: Mapping[str, int], bound: int
) -> tuple[dict[str, int], int]:
    """Offsets at least as good as `offsets`, and a bound at least as high as `bound`.

    The two meet where the solver was done within its limit.

    Raises:
        McugenError: OR-tools is not installed.
    """
    try:
        cp = import_module("ortools.sat.python.cp_model")
    except ImportError as error:
        raise fail(
            "plan",
            "the least RAM needs the solver OR-tools for this model",
            got=str(error),
            help="pip install 'mcugen[plan]'",
        ) from error
    model = cp.CpModel()
    most = max(offsets[item.name] + item.room for item in buffers) // ALIGNMENT
    size = model.new_int_var(bound // ALIGNMENT, most, "size")
    places = {}
    for item in buffers:
        room = item.room // ALIGNMENT
        place = places[item.name] = model.new_int_var(0, most - room, item.name)
        model.add(place + room <= size)
        model.add_hint(place, offsets[item.name] // ALIGNMENT)
    for (one, other), above in pairs.above.items():
        if one < other:
            below, over, same = (model.new_bool_var("") for _ in range(3))
            model.add(places[other] >= places[one] + above // ALIGNMENT).only_enforce_if(below)
            distance = pairs.above[other, one] // ALIGNMENT
            model.add(places[one] >= places[other] + distance).only_enforce_if(over)
            model.add(places[one] == places[other]).only_enforce_if(same)
            model.add_exactly_one([below, over] + [same] * ((one, other) in pairs.same))
    model.minimize(size)
    solver = cp.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.max_deterministic_time = LIMIT
    status = solver.solve(model)
    proven = max(bound, int(solver.best_objective_bound) * ALIGNMENT)
    if status not in (cp.OPTIMAL, cp.FEASIBLE):
        return dict(offsets), proven
    return {name: solver.value(place) * ALIGNMENT for name, place in places.items()}, proven
