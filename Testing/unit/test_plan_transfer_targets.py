"""Several targets in one dataset: a study each, with the same cases and budgets, and pretrainings that are made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.files import read_json, sha256_of_file, write_json
from SegVarianceLib.core.labels import LabelSet, Structure
from SegVarianceLib.core.records import to_json
from SegVarianceLib.dataset.phantom import make_phantom
from SegVarianceLib.plan.runs import RunRecord
from SegVarianceLib.plan.sources import require_sources
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.study.neighbours import take_pretrainings
from SegVarianceLib.study.new_sources import SourceWish
from SegVarianceLib.study.new_transfer import TransferWishes, plan_targets, target_labels

WISHES = TransferWishes(
    (SourceWish("apart", "segmentation"), SourceWish("filled_in", "masked_volume")),
    target_cases=(2, 3),
    seeds=2,
    source_cases=3,
    budget="4 steps",
    source_budget="6 steps",
    device="cpu",
)
TARGETS = {
    "whole": target_labels({"whole": (1, 2, 3)}),
    "parts": target_labels({"a": (1,), "b": (2,), "c": (3,)}),
}


def quiet(what: str, done: int, of: int) -> None:
    return


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return make_phantom(tmp_path_factory.mktemp("phantom") / "dataset", seed=1, cases=8)


@pytest.fixture
def planned(dataset, tmp_path) -> dict[str, StudyFolder]:
    found = plan_targets(dataset, tmp_path / "targets", TARGETS, WISHES, quiet)
    assert [estimate.pretrainings for _, estimate in found.values()] == [4, 0], (
        "made for the first, taken by the second"
    )
    return {name: study for name, (study, _) in found.items()}


def test_a_structure_paints_the_least_label_that_none_within_it_holds():
    assert TARGETS["whole"] == LabelSet((Structure("whole", (1, 2, 3)),), None, (1,))
    assert TARGETS["parts"].regions_class_order is None
    assert target_labels({"whole": (1, 2, 3), "core": (1, 3)}).regions_class_order == (2, 1)
    with pytest.raises(SegVarianceError, match="Nothing is left of 'core'"):
        target_labels({"core": (1,), "whole": (1, 2)})


def test_targets_share_cases_budgets_and_pretrainings_and_differ_in_what_is_learned(planned):
    whole, parts = planned["whole"], planned["parts"]
    assert whole.plan.pretrainings == parts.plan.pretrainings and whole.folds == parts.folds
    for run in whole.pretraining_runs:
        assert whole.run_inputs(run) == parts.run_inputs(run)
    assert not {whole.run_inputs(run) for run in whole.runs} & {parts.run_inputs(run) for run in parts.runs}
    for name in ("apart_2", "scratch_target_3", "scratch_total_3"):
        assert whole.plan.steps_of(name) == parts.plan.steps_of(name)
    assert [study.plan.configurations[0].trains for study in planned.values()] == ["regions", "labels"]
    assert [study.plan.configurations[0].network.out_channels for study in planned.values()] == [1, 4]
    assert whole.plan.pretrainings[0].labels != whole.dataset.labels, "the source learns the dataset's own labels"
    for study in planned.values():
        require_sources(study)


def test_a_pretraining_that_a_study_beside_has_made_is_taken_and_another_is_not(planned):
    whole, parts = planned["whole"], planned["parts"]
    run, unlike = whole.pretraining_runs[0], whole.pretraining_runs[2]
    for each in (run, unlike):
        whole.weights(each).parent.mkdir(parents=True)
        whole.weights(each).write_bytes(b"weights of " + each.member.encode())
        digest = sha256_of_file(whole.weights(each))
        write_json(
            whole.record_path(each),
            to_json(RunRecord(1, each, whole.run_inputs(each), "key", {}, digest, False, 1.0, 2.0, 3.0)),
        )
    content = read_json(parts.plan_path)
    content["pretrainings"][1]["plan"]["training"]["steps"] += 1
    write_json(parts.plan_path, content)
    parts, taken = StudyFolder.open(parts.root), []
    take_pretrainings(parts, lambda run, other: taken.append((run, other.root)))
    assert taken == [(run, whole.root)]
    assert parts.is_done(run) and parts.weights(run).read_bytes() == whole.weights(run).read_bytes()
    assert not parts.is_done(unlike)

    whole.weights(whole.pretraining_runs[2]).write_bytes(b"other bytes than the record says")
    third = StudyFolder(parts.root.with_name("third"))
    for name in ("plan_path", "dataset_path", "splits_path"):
        third.root.mkdir(exist_ok=True)
        getattr(third, name).write_bytes(getattr(whole, name).read_bytes())
    (parts.root.with_name("broken")).mkdir()
    (parts.root.with_name("broken") / "plan.json").write_text("{}")
    take_pretrainings(third, lambda run, other: None)
    assert third.is_done(run) and not third.is_done(unlike), (
        "damaged weights are nobody's, and a broken neighbour no harm"
    )


def test_a_target_that_leaves_out_a_label_is_refused_before_anything_is_planned(dataset, tmp_path):
    with pytest.raises(SegVarianceError, match="label 2 is in one of them alone"):
        plan_targets(dataset, tmp_path / "t", TARGETS | {"some": target_labels({"x": (1, 3)})}, WISHES, quiet)
    assert not (tmp_path / "t").exists()
