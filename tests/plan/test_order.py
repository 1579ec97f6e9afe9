"""The order of steps: against all orders there are."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from mcugen.plan import order
from mcugen.plan.order import Job, Option, Orders


@st.composite
def _graphs(draw: st.DrawFn) -> tuple[list[Job], dict[str, int]]:
    """Up to six steps that each read one or two earlier values, the last of which is the output."""
    rooms = {"x": 4 * draw(st.integers(1, 20))}
    jobs = []
    for index in range(draw(st.integers(1, 6))):
        reads = tuple(draw(st.lists(st.sampled_from(sorted(rooms)), min_size=1, max_size=2)))
        options = tuple(
            Option(
                4 * draw(st.integers(0, 5)),
                tuple(draw(st.sampled_from([None, 0, 8, 40])) for _ in reads),
            )
            for _ in range(draw(st.integers(1, 2)))
        )
        jobs.append(Job(reads, f"v{index}", options))
        rooms[f"v{index}"] = 4 * draw(st.integers(1, 20))
    return jobs, rooms


def _runs(jobs: list[Job], chosen: tuple[int, ...]) -> bool:
    places = {jobs[index].stores: place for place, index in enumerate(chosen)}
    return all(
        places.get(name, -1) < places[jobs[index].stores]
        for index in chosen
        for name in jobs[index].reads
    )


@given(_graphs())
def test_no_order_has_a_lower_peak(graph: tuple[list[Job], dict[str, int]]) -> None:
    jobs, rooms = graph
    orders = Orders(jobs, rooms, jobs[-1].stores)
    found = orders.least()
    assert found.exact
    assert _runs(jobs, found.jobs)
    every = filter(lambda chosen: _runs(jobs, chosen), itertools.permutations(range(len(jobs))))
    assert found.peak == orders.peak(found.jobs) == min(map(orders.peak, every))
    given_order = tuple(range(len(jobs)))
    assert found.jobs == given_order or orders.peak(given_order) > found.peak


def _branches(count: int) -> tuple[list[Job], dict[str, int]]:
    """Branches that widen the input and narrow it again, all wide steps first; then their sum."""
    plain = (Option(0, (None,)),)
    wide = [Job(("x",), f"w{i}", plain) for i in range(count)]
    narrow = [Job((f"w{i}",), f"n{i}", plain) for i in range(count)]
    last = Job(tuple(f"n{i}" for i in range(count)), "y", (Option(0, (None,) * count),))
    rooms = {"x": 4, "y": 4} | {f"w{i}": 400 for i in range(count)}
    return [*wide, *narrow, last], rooms | {f"n{i}": 4 for i in range(count)}


def test_branches_are_finished_one_after_the_other() -> None:
    jobs, rooms = _branches(5)
    orders = Orders(jobs, rooms, "y")
    assert orders.peak(range(len(jobs))) == 2004
    found = orders.least()
    assert (found.peak, found.exact) == (420, True)


def test_more_sets_than_can_be_followed() -> None:
    jobs, rooms = _branches(60)
    found = Orders(jobs, rooms, "y").least()
    assert not found.exact
    assert _runs(jobs, found.jobs)
    assert found.peak < Orders(jobs, rooms, "y").peak(range(len(jobs)))
    assert order.WIDTH * len(jobs) ** 2 > order.TRIALS


def test_nothing_to_order() -> None:
    assert Orders([], {"x": 8}, "x").least() == order.Order((), 0, True)
