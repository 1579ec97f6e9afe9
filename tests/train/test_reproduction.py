"""What the scripts of `scripts/reproduce` are going to run, and the sizes that they show."""

import importlib
from pathlib import Path

import pytest

from mcugen.train import lq, nlevel

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "scripts/reproduce")
        return importlib.import_module(request.param)


@pytest.mark.parametrize("script", ["lq", "bernoulli", "nlevel"], indirect=True)
def test_runs_have_names_of_their_own_and_start_from_earlier_ones(script):
    for make in script.GROUPS.values():
        seen = set()
        for row in make().rows:
            for run in row.runs:
                assert run.name not in seen
                assert run.start is None or run.start in seen
                assert run.teacher is None or run.teacher in seen
                if isinstance(run.options, lq.Options):
                    lq.make_grids(run.config.model, run.options)
                if isinstance(run.options, nlevel.Options):
                    nlevel.check(run.options)
            seen |= {run.name for run in row.runs}


@pytest.mark.parametrize("script", ["lq"], indirect=True)
@pytest.mark.parametrize(("planes", "document"), [(1, 76.2), (2, 147.2), (3, 218.3)])
def test_sizes_are_the_documents(script, planes, document):
    assert float(script.document_size(planes).split()[0]) == pytest.approx(document, rel=0.05)
    assert script.document_size(0) == "2.1 MB"
    one, three = (float(script.document_size(k).split()[0]) for k in (1, 3))
    weights, neurons = 704 * 784 + 10 * 704, 704 + 10
    assert (three - one) / 2 == pytest.approx((weights / 8 + 4 * neurons) / 1024, rel=0.01)


@pytest.mark.parametrize("script", ["lq"], indirect=True)
def test_a_finished_run_is_not_repeated(script, tmp_path):
    runs = importlib.import_module("runs")
    folder = runs.Folder(tmp_path)
    run = script.cifar().rows[0].runs[0]
    (tmp_path / f"{run.name}.json").write_text('{"accuracy": 0.5, "seconds": 1.0}')
    folder.perform(run)
    assert [file.name for file in tmp_path.iterdir()] == [f"{run.name}.json"]
    assert runs.table(script.cifar(), folder).row_count == 1
