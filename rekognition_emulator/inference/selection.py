"""Which models serve.

No embedder serves without a calibration, be it provisional, and none of the research profile whose licence was not
accepted.
"""

import hashlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from rekognition_emulator.inference.composed import ComposedEngine
from rekognition_emulator.inference.detectors.deepface_detector import RetinaFace
from rekognition_emulator.inference.detectors.orientation import OrientedDetector
from rekognition_emulator.inference.detectors.scrfd import Scrfd
from rekognition_emulator.inference.detectors.single_shot import SingleShot
from rekognition_emulator.inference.detectors.yunet import YuNet
from rekognition_emulator.inference.embedded import MtcnnDetector, dlib_embedder
from rekognition_emulator.inference.embedders.onnx_embedder import open_embedder
from rekognition_emulator.inference.engine import FaceDetector, FaceEmbedder, FaceEngine
from rekognition_emulator.inference.sessions import Device
from rekognition_emulator.invocation import command
from rekognition_emulator.models.catalogue import DLIB, EMBEDDERS, FACE_MESHES, MTCNN, RECOMMENDED_DETECTORS, YUNET
from rekognition_emulator.models.curves import UNMEASURED
from rekognition_emulator.models.licences import read_acceptances
from rekognition_emulator.models.manifest import known_by, read_detectors, read_manifests
from rekognition_emulator.models.records import Detector, Embedder, Model, Profile, SingleShotDetector
from rekognition_emulator.models.weights import ModelUnusable, read_verified

AUTO: Final = "auto"
"""The model whose licence was accepted last, if there is one; else the best of those that we recommend or ship, among
what is at hand. What merely lies there, and of which no more is known than a provisional curve, is never taken."""

SINGLE_SHOTS: Final[Mapping[str, type[SingleShot]]] = {"yunet": YuNet, "scrfd": Scrfd}
"""What reads the networks of which kind."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where models are found, and which may be used.

    Attributes:
        cache_dir: where networks are kept that are written once.
        models_dir: the operator's weights and manifests.
        deepface_dir: DeepFace's folder of weights, which is looked into second.
        accepted: names of models of the research profile whose licences the operator accepts.
        threads: that one call of a model may use; several worker threads call it at the same time.
        device: that networks run on.
        recommended_dir: what set-up has fetched, which is looked into last; None for nowhere.
        offline: whether nothing may be fetched.
    """

    cache_dir: Path
    models_dir: Path
    deepface_dir: Path
    accepted: AbstractSet[str] = frozenset()
    threads: int = 1
    device: Device = Device.CPU
    recommended_dir: Path | None = None
    offline: bool = False

    def accepts(self, model: Model) -> bool:
        """Returns whether a model may be used: its licence asks for no acceptance, or has it, by setting or on record.

        Raises:
            ModelUnusable: the record cannot be read.
        """
        if model.profile is not Profile.RESEARCH or model.name in self.accepted:
            return True
        return any(each.covers(model) for each in read_acceptances(self.models_dir))

    def accepted_names(self) -> list[str]:
        """Returns the names of the models whose licences are accepted, the last word first.

        Raises:
            ModelUnusable: the record cannot be read.
        """
        recorded = [each.model for each in reversed(read_acceptances(self.models_dir))]
        return list(dict.fromkeys([*recorded, *sorted(self.accepted)]))

    def folder(self, model: Model) -> Path:
        """Returns the first folder that holds all files of a model that comes with no package.

        Raises:
            ModelUnusable: none does.
        """
        folders = [each for each in (self.models_dir, self.deepface_dir, self.recommended_dir) if each]
        for folder in folders:
            if all((folder / file).is_file() for file in model.files):
                return folder
        raise ModelUnusable(
            f"{' and '.join(model.files)} {'is' if len(model.files) == 1 else 'are'} neither in "
            f"{' nor in '.join(map(str, folders))}; it comes from: {model.source}, and "
            f"`{command(f'models pull {model.name}')}` fetches it."
        )


def load_engine(face_model: str, detector: str, files: ModelFiles) -> FaceEngine:
    """Loads an engine that serves.

    Args:
        face_model: ``AUTO``, or the name of an embedder of the table or of a manifest, for new collections.
        detector: likewise, of a detector.
        files: where models are found.

    Raises:
        ModelUnusable: one of the two cannot be served; the text says what to do.
    """
    manifests = read_manifests(files.models_dir)
    chosen = find_embedder(face_model, manifests, files)
    if not chosen.calibration:
        raise ModelUnusable(
            f"The face model {chosen.name} is not calibrated, so a similarity would have no meaning: measure it with "
            f"rekognition-emulator calibrate, and name what that writes as calibration in its manifest in "
            f"{files.models_dir}."
        )
    _check_vouched(chosen, files)
    others = {
        each.version: partial(_open, each, files)
        for each in {**EMBEDDERS, **manifests}.values()
        if each.version != chosen.version and _is_servable(each, files)
    }
    return ComposedEngine(_load_oriented(detector, files), _open(chosen, files), files.threads, others)


def load_engine_to_measure(face_model: str, detector: str, files: ModelFiles) -> FaceEngine:
    """Loads an engine whose similarities mean nothing, to find out what they should; otherwise as ``load_engine``.

    The weights are taken for what they are where nobody has said their SHA-256.
    """
    chosen = find_embedder(face_model, read_manifests(files.models_dir), files)
    if None in chosen.files.values():
        (file,) = chosen.files
        contents = (files.folder(chosen) / file).read_bytes()
        chosen = known_by(chosen, hashlib.sha256(contents).hexdigest())
    chosen = replace(chosen, calibration=UNMEASURED)
    return ComposedEngine(_load_oriented(detector, files), _open(chosen, files), files.threads)


def _load_oriented(name: str, files: ModelFiles) -> FaceDetector:
    """Loads a detector for faces at any roll; whichever it is, YuNet looks for their turn where its weights are."""
    detector = load_detector(name, files)
    scout = detector
    if not isinstance(detector, YuNet):
        with suppress(ModelUnusable):
            scout = load_detector(YUNET.name, files)
    return OrientedDetector(detector, scout)


def load_detector(name: str, files: ModelFiles) -> FaceDetector:
    """Loads a detector of the table or of a manifest, or the one that ``AUTO`` means; errors as ``load_engine``'s."""
    name = choose_detector(name, files)
    if name == MTCNN.name:
        return MtcnnDetector(files.cache_dir, files.threads, files.device)
    detector = find_detector(name, read_detectors(files.models_dir), files)
    _check_vouched(detector, files)
    ((file, sha256),) = detector.files.items()
    assert sha256
    weights = read_verified(files.folder(detector) / file, sha256)
    return open_detector(detector, weights, files.threads, files.device)


def open_detector(detector: Detector, weights: bytes, threads: int, device: Device = Device.CPU) -> FaceDetector:
    """Opens a detector that comes as one ONNX file, whose contents are given; errors as ``load_engine``'s."""
    if isinstance(detector, SingleShotDetector):
        return SINGLE_SHOTS[detector.kind](detector, weights, threads, device)
    return RetinaFace(weights, threads, device)


def find_detector(name: str, detectors: Mapping[str, Detector], files: ModelFiles) -> Detector:
    """Returns the detector of this name, accepted and with its weights at hand; errors as ``load_engine``'s."""
    detector = detectors.get(name)
    if detector is None:
        raise ModelUnusable(
            f"The detector {name} is none of {', '.join(detectors)}, nor in a manifest in {files.models_dir}. Of "
            "DeepFace's detectors only retinaface gives the five landmarks that faces are aligned by."
        )
    _check_accepted(detector, files)
    if not detector.package:
        files.folder(detector)
    return detector


def choose_detector(name: str, files: ModelFiles) -> str:
    """Returns the name, or which detector ``AUTO`` means; what can serve is not looked into further.

    Raises:
        ModelUnusable: a manifest or the record of acceptances cannot be read.
    """
    if name != AUTO:
        return name
    known = read_detectors(files.models_dir)
    wanted = [*(each for each in files.accepted_names() if each in known), *RECOMMENDED_DETECTORS]
    return next(each for each in wanted if _is_at_hand(known[each], files))


def choose_face_mesh(files: ModelFiles) -> str | None:
    """Returns the name of the best face mesh at hand; None where none is."""
    return next((name for name, model in FACE_MESHES.items() if _is_at_hand(model, files)), None)


def _is_servable(embedder: Embedder, files: ModelFiles) -> bool:
    """Returns whether collections of this model can be served, if its weights are sound: they are not read yet."""
    return embedder.calibration is not None and _is_at_hand(embedder, files)


def _is_at_hand(model: Model, files: ModelFiles) -> bool:
    """Returns whether a model is accepted, and its weights lie there and are known by their SHA-256."""
    if not files.accepts(model) or None in model.files.values():
        return False
    with suppress(ModelUnusable):
        return bool(model.package or files.folder(model))
    return False


def _chosen_embedder(manifests: Mapping[str, Embedder], files: ModelFiles) -> Embedder:
    """Returns the embedder that ``AUTO`` means; dlib is always at hand."""
    known = {**EMBEDDERS, **manifests}
    servable = {name: each for name, each in known.items() if _is_servable(each, files)}
    for name in files.accepted_names():
        if name in servable:
            return servable[name]
    return max(servable.values(), key=lambda each: each.true_match_rate or 0)


def find_embedder(name: str, manifests: Mapping[str, Embedder], files: ModelFiles) -> Embedder:
    """Returns the embedder of this name, accepted and with its weights at hand; errors as ``load_engine``'s."""
    if name == AUTO:
        return _chosen_embedder(manifests, files)
    embedder = manifests.get(name) or EMBEDDERS.get(name)
    if embedder is None:
        names = ", ".join({AUTO: None, **EMBEDDERS, **manifests})
        raise ModelUnusable(f"The face model {name} is none of {names}, nor in a manifest in {files.models_dir}.")
    _check_accepted(embedder, files)
    _find_weights(embedder, files)
    return embedder


def _check_accepted(model: Model, files: ModelFiles) -> None:
    if not files.accepts(model):
        raise ModelUnusable(
            f"The {'detector' if isinstance(model, Detector) else 'face model'} {model.name} may not be free for "
            f"commercial use (licence: {model.licence}); REKOGNITION_ACCEPT_LICENCES={model.name} or "
            f"`{command(f'models pull {model.name}')}` accepts that."
        )


def _check_vouched(model: Model, files: ModelFiles) -> None:
    for file, sha256 in model.files.items():
        if sha256 is None:
            raise ModelUnusable(
                f"The publisher of {file} gives no SHA-256, so you have to: rekognition-emulator models pull "
                f"{model.name} takes that of what is at hand, or put {model.name}.toml with name and sha256 into "
                f"{files.models_dir}."
            )


def _find_weights(embedder: Embedder, files: ModelFiles) -> Path:
    """Returns the folder of an embedder's weights, which for dlib is inside its package."""
    return files.cache_dir if embedder.package else files.folder(embedder)


def _open(embedder: Embedder, files: ModelFiles) -> FaceEmbedder:
    if embedder.name == DLIB.name:
        return dlib_embedder(files.cache_dir, files.threads, embedder, files.device)
    folder = _find_weights(embedder, files)
    return open_embedder(embedder, folder, files.cache_dir, files.threads, files.device)
