"""Choosing models by small networks under the names of the real ones."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rekognition_emulator.domain.embedding import Evidence
from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.detectors import deepface_detector
from rekognition_emulator.inference.detectors.yunet import YuNet
from rekognition_emulator.inference.selection import (
    AUTO,
    ModelFiles,
    choose_detector,
    load_detector,
    load_engine,
    load_engine_to_measure,
)
from rekognition_emulator.models.catalogue import ARCFACE, EMBEDDERS, RETAIL_0095, SFACE
from rekognition_emulator.models.licences import Acceptance, record_acceptance
from rekognition_emulator.models.manifest import read_detectors, read_manifests
from rekognition_emulator.models.records import Embedder, Profile, SingleShotDetector
from rekognition_emulator.models.weights import ModelUnusable, WeightsMismatch
from tests.support.detectors import YUNET_FILE, YUNET_N, write_planted_scrfd
from tests.support.networks import COARSE, MOBILEFACE, write_embedder, write_manifest
from tests.support.openvino import write_ir_embedder


@pytest.fixture
def files(cache_dir: Path, tmp_path: Path) -> ModelFiles:
    """Two empty folders, ArcFace accepted."""
    for folder in ("models", "deepface"):
        (tmp_path / folder).mkdir()
    folders = (tmp_path / "models", tmp_path / "deepface")
    return ModelFiles(cache_dir, *folders, frozenset({"arcface"}), recommended_dir=tmp_path / "recommended")


def sha256(path: Path) -> str:
    """Returns a file's checksum."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def arcface(files: ModelFiles) -> Path:
    """ArcFace's weights in DeepFace's folder, and the operator's manifest."""
    path = write_embedder(files.deepface_dir, ARCFACE)
    write_manifest(files.models_dir, name="arcface", sha256=sha256(path), calibration=COARSE)
    return path


def test_auto_takes_what_needs_nothing(files: ModelFiles) -> None:
    """Where no weights are, the embedded engine serves."""
    assert load_engine(AUTO, AUTO, files).model.name == "dlib"
    assert choose_detector(AUTO, files) == "mtcnn"


def test_auto_takes_arcface_where_all_is_given(files: ModelFiles, arcface: Path) -> None:
    """Weights, checksum, calibration and acceptance make it the default."""
    model = load_engine(AUTO, "mtcnn", files).model
    assert (model.name, model.evidence) == ("arcface", Evidence.OPERATOR)


def test_auto_takes_no_model_that_was_not_accepted(files: ModelFiles, arcface: Path) -> None:
    """Weights that happen to lie there are not used against their licence."""
    assert load_engine(AUTO, "mtcnn", replace(files, accepted=frozenset())).model.name == "dlib"


def test_auto_takes_no_weights_that_nobody_vouches_for(files: ModelFiles, arcface: Path) -> None:
    """Though the licence is accepted: whatever lies in DeepFace's folder may be anything."""
    (files.models_dir / "arcface.toml").unlink()
    assert load_engine(AUTO, "mtcnn", files).model.name == "dlib"


def test_auto_takes_no_provisional_curve_by_mere_presence(files: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissive weights that lie there serve if they are named; of what they mean nothing was measured."""
    path = write_embedder(files.models_dir, SFACE, batch=1)
    monkeypatch.setitem(EMBEDDERS, "sface", replace(SFACE, files={path.name: sha256(path)}))
    assert load_engine(AUTO, "mtcnn", files).model.name == "dlib"
    model = load_engine("sface", "mtcnn", files).model
    assert (model.name, model.evidence) == ("sface", Evidence.PROVISIONAL)


def test_auto_takes_the_better_of_those_that_were_measured(files: ModelFiles, arcface: Path, retail: Embedder) -> None:
    """By the true match rate where thresholds live; a licence that was accepted is a word that counts for more."""
    unaccepted = replace(files, accepted=frozenset())
    assert load_engine(AUTO, "mtcnn", replace(unaccepted, recommended_dir=None)).model.name == "dlib"
    model = load_engine(AUTO, "mtcnn", unaccepted).model
    assert (model.name, model.version, model.evidence) == (retail.name, "108.1", Evidence.MEASURED)
    assert load_engine(AUTO, "mtcnn", files).model.name == "arcface"


def test_auto_takes_the_last_word(files: ModelFiles, arcface: Path) -> None:
    """Of two models that were accepted, the one that was accepted last."""
    buffalo = write_embedder(files.models_dir, EMBEDDERS["buffalo_s"])
    write_manifest(files.models_dir, name="buffalo_s", sha256=sha256(buffalo))
    there = replace(files, accepted=frozenset())
    for name in ("arcface", "buffalo_s", "arcface"):
        licence = EMBEDDERS[name].licence
        record_acceptance(files.models_dir, Acceptance(name, licence, "2030-01-01", "ada"))
        assert load_engine(AUTO, "mtcnn", there).model.name == name


def test_auto_takes_yunet_where_it_is(files: ModelFiles, weights: Callable[[str], Path]) -> None:
    """And a detector whose licence was accepted before it."""
    (files.models_dir / YUNET_FILE).symlink_to(weights(YUNET_FILE))
    assert choose_detector(AUTO, files) == "yunet"
    assert isinstance(load_detector(AUTO, files), YuNet)
    planted = write_planted_scrfd(files.models_dir / "det_10g.onnx")
    write_manifest(files.models_dir, name="scrfd-10g", sha256=sha256(planted))
    assert choose_detector(AUTO, files) == "yunet"
    assert choose_detector(AUTO, replace(files, accepted=frozenset({"scrfd-10g"}))) == "scrfd-10g"


@pytest.mark.parametrize("name", [name for name, row in EMBEDDERS.items() if row.profile is Profile.RESEARCH])
def test_research_models_are_accepted_by_name(files: ModelFiles, name: str) -> None:
    """The sentence names the licence and the setting."""
    with pytest.raises(ModelUnusable, match=f"REKOGNITION_ACCEPT_LICENCES={name}"):
        load_engine(name, "mtcnn", replace(files, accepted=frozenset()))


def test_models_that_nobody_has_measured_serve_provisionally(files: ModelFiles) -> None:
    """Named, accepted, at hand and vouched for is enough; the curve says what it rests on."""
    path = write_embedder(files.models_dir, ARCFACE)
    with pytest.raises(ModelUnusable, match=r"gives no SHA-256.*arcface\.toml"):
        load_engine("arcface", "mtcnn", files)
    write_manifest(files.models_dir, name="arcface", sha256=sha256(path))
    model = load_engine("arcface", "mtcnn", files).model
    assert model.evidence is Evidence.PROVISIONAL
    assert model.similarity(0.32) == pytest.approx(50)  # DeepFace's threshold
    assert load_engine(AUTO, "mtcnn", files).model == model


def test_an_operators_own_model_needs_a_calibration(files: ModelFiles) -> None:
    """Of a model that is in no table not even a threshold is known."""
    path = write_embedder(files.models_dir, replace(ARCFACE, files={"own.onnx": None}))
    own = {**MOBILEFACE, "file": "own.onnx", "sha256": sha256(path), "dimension": 512, "layout": "NHWC"}
    write_manifest(files.models_dir, name="own", **own)
    with pytest.raises(ModelUnusable, match=r"own is not calibrated.*calibrate"):
        load_engine("own", "mtcnn", files)


def test_missing_weights_are_named(files: ModelFiles) -> None:
    """The sentence says which file, which folders, and where it comes from."""
    with pytest.raises(ModelUnusable, match=r"sface_2021dec\.onnx.*models.*deepface.*opencv_zoo"):
        load_engine("sface", "mtcnn", files)


@pytest.mark.parametrize("damage", [lambda weights: weights[:-100], lambda weights: weights + b"\0", lambda _: b""])
def test_damaged_weights_are_refused(files: ModelFiles, arcface: Path, damage: Callable[[bytes], bytes]) -> None:
    """Cut short, appended to, emptied: the runtime never sees them."""
    arcface.write_bytes(damage(arcface.read_bytes()))
    with pytest.raises(WeightsMismatch, match="damaged, cut short or another one"):
        load_engine("arcface", "mtcnn", files)


def test_a_published_checksum_cannot_be_overruled(files: ModelFiles) -> None:
    """A manifest vouches only where the publisher does not."""
    path = write_embedder(files.models_dir, SFACE)
    write_manifest(files.models_dir, name="sface", sha256=sha256(path), calibration=COARSE)
    with pytest.raises(ModelUnusable, match=r"another SHA-256 .* than its publisher"):
        load_engine("sface", "mtcnn", files)


def test_networks_of_another_kind_are_refused(files: ModelFiles) -> None:
    """Another dimension or layout than described, and what is no network at all, each get their sentence."""
    kinds = {
        "gives 64 numbers a face instead of the 512": replace(ARCFACE, dimension=64),
        "no network that takes chips of 112 px as NHWC": replace(ARCFACE, layout="NCHW"),
    }
    for sentence, kind in kinds.items():
        path = write_embedder(files.models_dir, kind)
        write_manifest(files.models_dir, name="arcface", sha256=sha256(path), calibration=COARSE)
        with pytest.raises(ModelUnusable, match=sentence):
            load_engine("arcface", "mtcnn", files)
    path.write_bytes(b"not a network")
    write_manifest(files.models_dir, name="arcface", sha256=sha256(path), calibration=COARSE)
    with pytest.raises(ModelUnusable, match="no network"):
        load_engine("arcface", "mtcnn", files)


def test_weights_that_nobody_vouches_for_have_their_own_version(files: ModelFiles, arcface: Path) -> None:
    """Other contents under the same name never share a collection."""
    one = load_engine("arcface", "mtcnn", files).model.version
    write_embedder(files.deepface_dir, ARCFACE, seed=1)
    write_manifest(files.models_dir, name="arcface", sha256=sha256(arcface), calibration=COARSE)
    other = load_engine("arcface", "mtcnn", files).model.version
    assert one.startswith("103.1.")
    assert other.startswith("103.1.")
    assert one != other


def test_older_collections_keep_their_model(files: ModelFiles, arcface: Path, portrait: Image) -> None:
    """The engine for new collections opens the others' embedders on demand, and knows what it does not have."""
    engine = load_engine("dlib", "mtcnn", files)
    version = load_engine("arcface", "mtcnn", files).model.version
    older = engine.embedder(version)
    assert older
    assert older is engine.embedder(version)
    assert older.embed(portrait, engine.detect(portrait)).shape == (1, 512)
    current = engine.embedder("100.1")
    assert current
    assert current.model == engine.model
    assert engine.embedder("7.0") is None


def test_a_damaged_older_model_is_not_at_hand(files: ModelFiles, arcface: Path) -> None:
    """It stops no start and raises at no request."""
    version = load_engine("arcface", "mtcnn", files).model.version
    arcface.write_bytes(b"")
    engine = load_engine("dlib", "mtcnn", files)
    assert engine.embedder(version) is None
    assert engine.embedder(version) is None


def test_a_model_is_measured_before_it_serves(files: ModelFiles, portrait: Image) -> None:
    """Uncalibrated weights can be measured, and what was measured on them lets them serve, and no others."""
    path = write_embedder(files.models_dir, ARCFACE)
    engine = load_engine_to_measure("arcface", "mtcnn", files)
    assert engine.embed(portrait, engine.detect(portrait)).shape == (1, 512)
    curve = {
        "face_model": {"name": "arcface", "version": engine.model.version, "dimension": 512},
        "measured_on": "2030-01-01",
        "stranger_pairs": 7,
        "calibration": [[-1, 0], *COARSE, [1, 100]],
    }
    (files.models_dir / "curve.json").write_text(json.dumps(curve))
    write_manifest(files.models_dir, name="arcface", sha256=sha256(path), calibration="curve.json")
    model = load_engine("arcface", "mtcnn", files).model
    assert model.version == engine.model.version
    assert model.similarity(0.75) == pytest.approx(80)
    write_manifest(files.models_dir, name="arcface", sha256="0" * 64, calibration="curve.json")
    with pytest.raises(ModelUnusable, match="measured on version"):
        load_engine("arcface", "mtcnn", files)


@pytest.mark.parametrize(
    ("measured", "evidence"),
    [
        ({"stranger_pairs": 7}, Evidence.OPERATOR),
        ({"impostor_pairs": 7, "method": "unlabelled"}, Evidence.UNLABELLED),
    ],
)
def test_a_curve_says_what_it_rests_on(measured: dict[str, object], evidence: Evidence, files: ModelFiles) -> None:
    """Whatever calibrate has written serves, and who asks learns whether labels were behind it."""
    curve = {
        "face_model": {"version": "100.1"},
        "measured_on": "2030-01-01",
        "calibration": [[-1, 0], *COARSE, [1, 100]],
    }
    (files.models_dir / "curve.json").write_text(json.dumps(curve | measured))
    write_manifest(files.models_dir, name="dlib", calibration="curve.json")
    (model,) = read_manifests(files.models_dir).values()
    assert (model.evidence, model.calibration_source) == (evidence, "7 impostor pairs, 2030-01-01")
    assert load_engine("dlib", "mtcnn", files).model.evidence is evidence


@pytest.fixture
def retail(files: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> Embedder:
    """A model of two files that set-up has fetched, and that no manifest speaks of."""
    assert files.recommended_dir
    files.recommended_dir.mkdir()
    embedder = write_ir_embedder(files.recommended_dir, RETAIL_0095)
    monkeypatch.setitem(EMBEDDERS, embedder.name, embedder)
    return embedder


def test_collections_keep_a_recommended_model(files: ModelFiles, retail: Embedder, portrait: Image) -> None:
    """Where another model is named for new ones, those that were made with it are served without a word more."""
    engine = load_engine("dlib", "mtcnn", files)
    older = engine.embedder(retail.version)
    assert older
    assert older.embed(portrait, engine.detect(portrait)).shape == (1, 256)


@pytest.mark.parametrize("file", RETAIL_0095.files)
def test_each_file_of_a_model_has_to_be_what_it_was(files: ModelFiles, retail: Embedder, file: str) -> None:
    """The layers as well as the weights; and though the network is in the cache already."""
    load_engine(retail.name, "mtcnn", files)
    assert files.recommended_dir
    path = files.recommended_dir / file
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsMismatch, match=file):
        load_engine(retail.name, "mtcnn", files)
    path.unlink()
    with pytest.raises(ModelUnusable, match=r"\.xml and .*\.bin are neither in .* models pull retail-0095` fetches it"):
        load_engine(retail.name, "mtcnn", files)


def test_an_operator_calibrates_what_the_table_vouches_for(files: ModelFiles, retail: Embedder) -> None:
    """A manifest need not repeat checksums that are known, and must not contradict them."""
    write_manifest(files.models_dir, name=retail.name, calibration=COARSE)
    model = load_engine(retail.name, "mtcnn", files).model
    assert (model.version, model.evidence) == (retail.version, Evidence.OPERATOR)
    assert model.similarity(0.75) == pytest.approx(80)
    write_manifest(files.models_dir, name=retail.name, sha256="0" * 64, calibration=COARSE)
    with pytest.raises(ModelUnusable, match="another SHA-256 for retail-0095 than its publisher"):
        load_engine(retail.name, "mtcnn", files)
    write_manifest(files.models_dir, name=retail.name)
    write_manifest(files.models_dir, name="arcface", calibration=COARSE)
    with pytest.raises(ModelUnusable, match=r"arcface\.toml lacks sha256"):
        load_engine(retail.name, "mtcnn", files)


OWN = {"name": "own", **MOBILEFACE, "calibration": [[0.3, 40], [0.5, 80]], "calibration_source": "a test"}


@given(
    key=st.sampled_from([*OWN, "surprise"]),
    value=st.one_of(
        st.none(),
        st.integers(-5, 5000),
        st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=8),
        st.lists(st.tuples(st.floats(-1.5, 1.5), st.floats(-10, 110)), max_size=3),
        st.sampled_from(["../x.onnx", "a/b.onnx", "arcface", "dlib", "100.1", "BGR", True, 1e308]),
    ),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_wrong_manifest_is_a_sentence(tmp_path: Path, key: str, value: object) -> None:
    """Whatever stands in it, a manifest is read or refused in words, and what is read can be relied on."""
    said = {**OWN, key: value}
    lines = [f"{name} = {json.dumps(each)}" for name, each in said.items() if each is not None]
    (tmp_path / "own.toml").write_text("\n".join(lines))
    try:
        (embedder,) = read_manifests(tmp_path).values()
    except ModelUnusable as refused:
        assert str(tmp_path) in str(refused)  # noqa: PT017 - reading it is as well an outcome
        return
    assert embedder.name not in EMBEDDERS or key == "name"
    assert all("/" not in file for file in embedder.files)
    if embedder.calibration:
        assert embedder.evidence in {Evidence.OPERATOR, EMBEDDERS.get(embedder.name, embedder).evidence}
        cosines, similarities = np.array(embedder.calibration).T
        assert (np.diff(cosines) > 0).all()
        assert (np.diff(similarities) > 0).all()


def test_no_two_models_share_a_name_or_version(tmp_path: Path) -> None:
    """Two manifests of one version would mix embeddings."""
    for name in ("one", "two"):
        write_manifest(tmp_path, name=name, **MOBILEFACE)
    with pytest.raises(ModelUnusable, match=r"two\.toml.*name or version"):
        read_manifests(tmp_path)


def test_no_two_models_of_the_table_share_a_version() -> None:
    """A collection's version leads to one embedder; operators' own begin at 1000."""
    versions = [embedder.version for embedder in EMBEDDERS.values()]
    assert len(set(versions)) == len(versions)
    assert all(100 <= float(version) < 1000 for version in versions)


def test_what_hinders_a_detector_is_said_in_words(files: ModelFiles) -> None:
    """A name that is none, a licence, weights that are absent, and weights that nobody vouches for."""
    with pytest.raises(ModelUnusable, match=r"opencv is none of mtcnn, .* only retinaface gives the five landmarks"):
        load_detector("opencv", files)
    with pytest.raises(ModelUnusable, match=r"detector retinaface may not.*REKOGNITION_ACCEPT_LICENCES=retinaface"):
        load_detector("retinaface", files)
    accepting = replace(files, accepted=frozenset({"scrfd-10g"}))
    with pytest.raises(ModelUnusable, match=r"det_10g\.onnx is neither in .* pack buffalo_l"):
        load_detector("scrfd-10g", accepting)
    write_planted_scrfd(files.models_dir / "det_10g.onnx")
    with pytest.raises(ModelUnusable, match=r"gives no SHA-256.*scrfd-10g\.toml"):
        load_detector("scrfd-10g", accepting)
    write_manifest(files.models_dir, name="scrfd-10g", sha256="0" * 64)
    with pytest.raises(WeightsMismatch):
        load_detector("scrfd-10g", accepting)


def test_a_detector_needs_its_package(files: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where DeepFace is not installed, the sentence says how it is."""
    monkeypatch.setattr(deepface_detector, "find_spec", lambda _: None)
    with pytest.raises(ModelUnusable, match=r"pip install 'rekognition-emulator\[deepface\]'"):
        deepface_detector.RetinaFace(b"", threads=1)


@given(
    key=st.sampled_from([*YUNET_N, "sides_px", "score_min", "overlap_max", "confidences", "surprise"]),
    value=st.one_of(
        st.none(),
        st.integers(-5, 5000),
        st.floats(-1, 2),
        st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=8),
        st.lists(st.integers(0, 5000), max_size=5),
        st.lists(st.tuples(st.floats(-0.5, 1.5), st.floats(-10, 110)), max_size=3),
    ),
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_wrong_manifest_of_a_detector_is_a_sentence(tmp_path: Path, key: str, value: object) -> None:
    """Whatever stands in it, it is read or refused in words, and what is read can be relied on."""
    said = {"name": "own", **YUNET_N, key: value}
    lines = [f"{name} = {json.dumps(each)}" for name, each in said.items() if each is not None]
    (tmp_path / "own.toml").write_text("\n".join(lines))
    try:
        detector = read_detectors(tmp_path).get("own")
    except ModelUnusable as refused:
        assert str(tmp_path) in str(refused)  # noqa: PT017 - reading it is as well an outcome
        return
    assert isinstance(detector, SingleShotDetector)
    assert detector.sides_px
    assert 0 < detector.score_min < 1
    assert 0 <= np.interp(0.5, *np.array(detector.confidences).T) <= 100
