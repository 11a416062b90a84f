"""nnU-Net's own sliding window, mirroring and resampling, one case after the other; arrays for the parent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any


def predict(request: dict[str, Any], say: Callable[..., None], should_stop: Callable[[], bool]) -> bool:
    """Mean probability of finished runs on new images; one run after the other, so that memory holds one of them."""
    import numpy as np

    out, members = Path(request["out"]), request["members"]
    for member in members:
        _require_written_by_its_run(member, say)
    device = open_device(request, say)
    for number, member in enumerate(members):
        predictor = _predictor_of(Path(member["checkpoint"]), device)
        for done, (case, images) in enumerate(request["cases"].items()):
            if should_stop():
                return False
            _, probabilities = segment(predictor, images, True)
            total = probabilities if number == 0 else np.load(out / f"{case}.sum.npy") + probabilities
            np.save(out / f"{case}.sum.npy", total)
            cases = len(request["cases"])
            say("progress", done=number * cases + done + 1, of=len(members) * cases)
            if number + 1 == len(members):
                mean = total / len(members)
                labels = predictor.label_manager.convert_probabilities_to_segmentation(mean)
                write_arrays(out, case, labels, mean if request["probabilities"] else None, say)
                (out / f"{case}.sum.npy").unlink()
    return True


def new_predictor(device: Any) -> Any:
    """nnU-Net's predictor as its command line sets it up."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(device=device, perform_everything_on_device=device.type == "cuda", allow_tqdm=False)
    _deterministic(device)  # making a predictor for CUDA turns cuDNN's benchmark on
    return predictor


def segment(predictor: Any, images: list[str], with_probabilities: bool) -> tuple[Any, Any]:
    """Label map [z, y, x] on the images' own grid and, if asked for, float32 probabilities [c, z, y, x], else None."""
    image, properties = predictor.plans_manager.image_reader_writer_class().read_images(images)
    found = predictor.predict_single_npy_array(image, properties, None, None, with_probabilities)
    return found if with_probabilities else (found, None)


def write_arrays(out: Path, case: str, labels: Any, probabilities: Any, say: Callable[..., None]) -> None:
    import numpy as np

    out.mkdir(parents=True, exist_ok=True)
    np.save(out / f"{case}.npy", np.asarray(labels).astype(np.uint16))
    if probabilities is not None:
        np.save(out / f"{case}.probabilities.npy", np.asarray(probabilities, np.float32))
    say("case", case=case)


def open_device(request: dict[str, Any], say: Callable[..., None]) -> Any:
    """Set this process up for deterministic work and return the torch device."""
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    kind = request["device"]
    if kind == "auto":
        kind = next(name for name, found in there.items() if found)
    if not there[kind]:
        say(
            "refused",
            message=f"The torch of nnU-Net's Python finds no device {kind!r}, only {', '.join(filter(there.get, there))}",
        )
        raise SystemExit(2)
    device = torch.device(kind)
    torch.set_num_threads(request["threads"])
    _deterministic(device)
    return device


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def _deterministic(device: Any) -> None:
    import torch

    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    if device.type == "cuda":
        torch.use_deterministic_algorithms(True, warn_only=True)  # nnU-Net's cross entropy has no deterministic form


def _require_written_by_its_run(member: dict[str, str], say: Callable[..., None]) -> None:
    """nnU-Net unpickles checkpoints: each must be, byte for byte, what this study's run wrote."""
    if sha256_of(Path(member["checkpoint"])) != member["sha256"]:
        say("refused", message=f"{member['checkpoint']} is not the file that its run.json describes, and is not opened")
        raise SystemExit(2)


def _predictor_of(checkpoint: Path, device: Any) -> Any:
    predictor = new_predictor(device)
    fold = checkpoint.parent.name.removeprefix("fold_")
    predictor.initialize_from_trained_model_folder(str(checkpoint.parent.parent), (fold,), checkpoint.name)
    predictor.network.to(device)
    return predictor
