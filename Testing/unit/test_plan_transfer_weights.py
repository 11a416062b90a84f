"""Weights from elsewhere as sources of a transfer study: planned where they fit and are safe, refused in a sentence where not."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from SegVarianceLib.core.errors import SegVarianceError
from SegVarianceLib.core.files import read_json, write_json
from SegVarianceLib.dataset.phantom import make_phantom
from SegVarianceLib.model import checkpoint
from SegVarianceLib.model.network import build_network
from SegVarianceLib.plan.runs import Run
from SegVarianceLib.plan.sources import require_sources, run_of_weights
from SegVarianceLib.plan.study_folder import StudyFolder
from SegVarianceLib.plan.transfer import Cell, cells_of, weights_of
from SegVarianceLib.study.facts import transfer_of, what_was_done
from SegVarianceLib.study.new_sources import SourceWish
from SegVarianceLib.study.new_transfer import TransferWishes, plan_transfer
from SegVarianceLib.study.stages import metrics_of, rules_of


def quiet(what: str, done: int, of: int) -> None:
    return


WISHES = TransferWishes((), target_cases=(2, 3), seeds=2, budget="4 steps", device="cpu")


def wishes(path: Path, **changed) -> TransferWishes:
    source = SourceWish("given", "weights", weights=path)
    of_source = {name: changed.pop(name) for name in ("name_map", "part") if name in changed}
    return replace(WISHES, sources=(replace(source, **of_source),), **changed)


@pytest.fixture(scope="module")
def target(tmp_path_factory) -> Path:
    return make_phantom(tmp_path_factory.mktemp("target") / "dataset", seed=1, cases=8)


@pytest.fixture(scope="module")
def donor(tmp_path_factory) -> StudyFolder:
    """A study of another dataset, with weights (as they were drawn) in a run and in a pretraining of it."""
    folder = tmp_path_factory.mktemp("donor")
    dataset = make_phantom(folder / "dataset", seed=2, cases=8)
    sources = (SourceWish("filled_in", "masked_volume"),)
    study, _ = plan_transfer(dataset, folder / "study", replace(WISHES, sources=sources, source_cases=3), quiet)
    for run in (Run("filled_in_2", 0, 1), Run("filled_in", 0, 0)):
        study.weights(run).parent.mkdir(parents=True)
        checkpoint.save(study.weights(run), build_network(study.plan.configurations[0].network).state_dict(), {})
    return study


@pytest.fixture
def plain(donor, tmp_path) -> Path:
    """The same weights in a file that lies in no study."""
    path = tmp_path / "plain.safetensors"
    path.write_bytes(donor.weights(Run("filled_in_2", 0, 1)).read_bytes())
    return path


def refusal(target: Path, folder: Path, asked: TransferWishes) -> str:
    with pytest.raises(SegVarianceError) as refused:
        plan_transfer(target, folder, asked, quiet)
    assert not (folder / "plan.json").exists() and "\n" not in str(refused.value)
    return str(refused.value)


def test_weights_of_another_studys_run_are_a_source_measured_at_equal_target_budget_alone(target, donor, tmp_path):
    path = donor.weights(Run("filled_in_2", 0, 1))
    asked = wishes(path, part="encoder", frozen_share=0.25, rate_decay=0.5)
    study, estimate = plan_transfer(target, tmp_path / "study", asked, quiet)
    assert cells_of(study.plan)[:2] == (Cell("given_2", "given", 2), Cell("scratch_target_2", "scratch_target", 2))
    assert {cell.source for cell in cells_of(study.plan)} == {"given", "scratch_target"}, "no total that nobody knows"
    rules = weights_of(study.plan)["given"]
    assert (rules.weights, rules.part, rules.frozen_share, rules.rate_decay) == (str(path), "encoder", 0.25, 0.5)
    assert (
        "loaded" in estimate.weights["given"]
        and f"in {donor.root}, which has learned from no" in estimate.weights["given"]
    )
    assert (estimate.pretrainings, estimate.runs) == (0, 8)
    assert "lesion_f1" in metrics_of(study) and rules_of(study) == ()
    said = dict(what_was_done(study))
    assert "what they cost is not known here" in said["Source given"]
    assert said["Taken from given"].startswith("the encoder is taken; the encoder stands still for the first 25%")
    require_sources(study)


def test_weights_that_lie_in_no_study_are_taken_and_said_to_be_of_unknown_origin(target, plain, tmp_path):
    study, estimate = plan_transfer(target, tmp_path / "study", wishes(plain), quiet)
    assert "nobody can check whether cases of the target were among it" in estimate.weights["given"]
    assert run_of_weights(plain) is None
    require_sources(study)


@pytest.mark.parametrize("run", [Run("filled_in_2", 0, 1), Run("filled_in", 0, 0)])
def test_weights_that_have_learned_from_the_target_are_refused_by_name(donor, run, tmp_path):
    said = refusal(Path(donor.dataset.folder), tmp_path / "study", wishes(donor.weights(run)))
    assert "shares its name with case" in said


def test_weights_that_have_learned_from_a_copy_of_the_target_are_refused_by_the_bytes_of_its_images(donor, tmp_path):
    copy = make_phantom(tmp_path / "copy", seed=2, cases=8)
    said = refusal(copy, tmp_path / "study", wishes(donor.weights(Run("filled_in_2", 0, 1))))
    assert "shares its image with case" in said


def test_what_weights_were_pretrained_on_counts_as_learned(target, donor, tmp_path):
    """The run trains on other cases than its pretraining; of the target there is a copy of one of the latter alone."""
    fewer = tmp_path / "copy"
    make_phantom(fewer, seed=2, cases=8)
    pretrained_on = donor.plan.pretrainings[0].cases
    for file in [*fewer.glob("imagesTr/*"), *fewer.glob("labelsTr/*")]:
        if not file.name.startswith(pretrained_on):
            file.unlink()
    described = read_json(fewer / "dataset.json")
    write_json(fewer / "dataset.json", described | {"numTraining": len(pretrained_on)})
    asked = wishes(donor.weights(Run("filled_in_2", 0, 1)), target_cases=(2,))
    assert "shares its image with case" in refusal(fewer, tmp_path / "study", asked)


def test_overlap_is_refused_again_when_the_study_is_run(target, donor, plain, tmp_path):
    study, _ = plan_transfer(target, tmp_path / "study", wishes(plain), quiet)
    content = read_json(study.dataset_path)
    content["folder"] = donor.dataset.folder  # as if the target had become the donor's dataset
    write_json(study.dataset_path, content)
    plan = read_json(study.plan_path)
    for configuration in plan["configurations"]:
        if configuration["fine_tuning"]:
            configuration["fine_tuning"]["weights"] = str(donor.weights(Run("filled_in_2", 0, 1)))
    write_json(study.plan_path, plan)
    with pytest.raises(SegVarianceError, match="shares its"):
        require_sources(StudyFolder.open(study.root))


def test_plans_that_name_each_others_weights_come_to_an_end(target, plain, tmp_path):
    study, _ = plan_transfer(target, tmp_path / "study", wishes(plain), quiet)
    own = study.weights(Run("given_2", 0, 0))
    own.parent.mkdir(parents=True)
    own.write_bytes(plain.read_bytes())
    content = read_json(study.plan_path)
    content["configurations"][0]["fine_tuning"]["weights"] = str(own)
    write_json(study.plan_path, content)
    other = make_phantom(tmp_path / "other", seed=3, cases=8)
    _, estimate = plan_transfer(other, tmp_path / "next", wishes(own), quiet)
    assert "has learned from no case" in estimate.weights["given"]


def test_names_of_a_foreign_file_are_mapped_and_what_fits_is_said(target, plain, tmp_path):
    tensors = load_file(plain)
    name = next(name for name in tensors if name.endswith("weight"))
    save_file({"their.first": tensors[name]}, tmp_path / "foreign.safetensors")
    (tmp_path / "map.json").write_text(json.dumps({name: "their.first"}))
    asked = wishes(tmp_path / "foreign.safetensors", name_map=tmp_path / "map.json")
    _, estimate = plan_transfer(target, tmp_path / "study", asked, quiet)
    assert "1 loaded" in estimate.weights["given"]
    (tmp_path / "map.json").write_text('["stem.weight"]')
    assert "is no name map" in refusal(target, tmp_path / "refused", asked)


def as_nnunet(folder: Path, tensors: dict) -> Path:
    torch.save(
        {"network_weights": tensors, "current_epoch": 3, "trainer_name": "nnUNetTrainer"}, folder / "checkpoint.pth"
    )
    return folder / "checkpoint.pth"


def as_bundle(folder: Path, tensors: dict) -> Path:
    (folder / "bundle" / "models").mkdir(parents=True)
    torch.save(tensors, folder / "bundle" / "models" / "model.pt")
    return folder / "bundle"


@pytest.mark.parametrize("made", [as_nnunet, as_bundle])
def test_checkpoints_of_nnunet_and_bundles_of_monai_are_sources_and_2d_kernels_are_inflated(
    made, target, plain, tmp_path
):
    name, kernel = next((name, tensor) for name, tensor in load_file(plain).items() if tensor.ndim == 5)
    path = made(tmp_path, {"theirs": kernel[:, :, 0].clone()})
    (tmp_path / "map.json").write_text(json.dumps({name: "theirs"}))
    asked = wishes(path, name_map=tmp_path / "map.json")
    assert "its kernel is 2-D, and inflation was not asked for" in refusal(target, tmp_path / "refused", asked)
    study, estimate = plan_transfer(target, tmp_path / "study", replace(asked, inflation="repeat"), quiet)
    assert "1 inflated" in estimate.weights["given"]
    assert "2-D kernels inflated: repeat" in dict(what_was_done(study))["Source given"]


class Burglar:
    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


def with_code(path: Path, content: bytes) -> Path:
    torch.save({"network_weights": {}, "extra": Burglar(path.with_name("was_here"))}, path)
    return path


def truncated(path: Path, content: bytes) -> Path:
    path.write_bytes(content[: len(content) // 2])
    return path


def lying(path: Path, content: bytes) -> Path:
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header[next(name for name in header if name != "__metadata__")]["shape"] = [10**9, 10**9]
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    return path


def leading_out(path: Path, content: bytes) -> Path:
    secret = path.with_name("secret.safetensors")
    secret.write_bytes(content)
    (path / "models").mkdir(parents=True)
    (path / "models" / "model.safetensors").symlink_to(secret)
    return path


def of_something_else(path: Path, content: bytes) -> Path:
    save_file({"conv.weight": torch.ones(2, 2)}, path)
    return path


def nowhere(path: Path, content: bytes) -> Path:
    return path


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (with_code, "needs code to be read"),
        (truncated, "not a readable"),
        (lying, "not a readable"),
        (leading_out, "leads out of"),
        (of_something_else, "No weights of the source fit this network"),
        (nowhere, "does not exist"),
    ],
)
def test_hostile_and_broken_weights_are_one_sentence_and_nothing_is_planned(made, sentence, target, plain, tmp_path):
    path = made(tmp_path / "given", plain.read_bytes())
    assert sentence in refusal(target, tmp_path / "study", wishes(path))
    assert not (tmp_path / "was_here").exists()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"frozen_share": 1.5}, "frozen_share is a share of the steps from 0 to 1"),
        ({"rate_decay": 0.0}, "rate_decay lies above 0"),
        ({"part": "middle"}, "expected part to be one of encoder, decoder, all"),
        ({"source_budget": "6 steps"}, "Nothing is pretrained here"),
        ({"sources": (SourceWish("a", "position"),), "inflation": "repeat"}, "--inflation is for 2-D weights"),
        ({"sources": (SourceWish("a", "position", part="decoder"),)}, "trains an encoder alone"),
        ({"sources": (SourceWish("a", "position", name_map=Path("m.json")),)}, "--source-map belongs to weights"),
        ({"sources": (SourceWish("../a", "weights", weights=Path("w")),)}, "cannot be a name of a source"),
        ({"sources": (SourceWish("a", "weights"),)}, "weights from elsewhere need a file"),
    ],
)
def test_options_that_mean_nothing_are_one_sentence(changed, sentence, target, plain, tmp_path):
    sources = changed.pop("sources", None)
    asked = wishes(plain, **changed)
    assert sentence in refusal(target, tmp_path / "study", replace(asked, sources=sources) if sources else asked)


def test_a_study_of_weights_alone_has_costs_that_nobody_knows(target, plain, tmp_path):
    from SegVarianceLib.evaluation.score_table import ScoreTable
    from SegVarianceLib.stats.seed_study import SeedStudies
    from SegVarianceLib.stats.study_statistics import StudyStatistics

    study, _ = plan_transfer(target, tmp_path / "study", wishes(plain), quiet)
    found = transfer_of(study, ScoreTable(()), StudyStatistics(SeedStudies((), ()), (), None))
    assert found is not None and [(c.source, c.cpu_s, c.served) for c in found.costs] == [("given", None, 4)]
