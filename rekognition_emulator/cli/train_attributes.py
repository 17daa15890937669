"""``train-attributes``: fits the operator's own heads for what no free network tells, and writes them for servers."""

from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rekognition_emulator.admin.attribute_heads import train_heads
from rekognition_emulator.cli.progress import bar, counting
from rekognition_emulator.cli.start import load_face_engine, read_settings
from rekognition_emulator.evaluation.attribute_heads import FACES_MIN, FOLDS
from rekognition_emulator.evaluation.labels import LabelsUnusable
from rekognition_emulator.inference.details.attribute_heads import write_heads


def train(labels: Path, images: Path, workers: int) -> None:
    """Fits a head for each attribute that is labelled often enough, shows how good they are, and writes them.

    Raises:
        LabelsUnusable: no attribute has enough labelled faces, or the file is not as it should be.
        ModelUnusable: the face model cannot serve, or the heads cannot be written.
        OSError: the labels cannot be read.
    """
    settings = read_settings()
    engine = load_face_engine(settings)
    with counting() as bars:
        trained = train_heads(engine, labels, images, workers, partial(bar, bars))
    aside = Console(stderr=True)
    for picture in trained.left_out:
        aside.print(f"left out: {picture.file}: {picture.reason}", markup=False, highlight=False, soft_wrap=True)
    table = Table("attribute", "faces", "with it", "right", "AUC")
    for fitted in trained.fitted:
        head = fitted.head
        table.add_row(
            fitted.attribute,
            f"{fitted.faces:,}",
            f"{fitted.positive:,}",
            f"{head.accuracy:.1%}" if head else f"needs {FACES_MIN} faces with it and without",
            f"{head.auc:.3f}" if head else "",
        )
    console = Console()
    console.print(f"Each fifth of the pictures judged by what the others taught, face model {engine.model.name}:")
    console.print(table)
    if not trained.heads.heads:
        raise LabelsUnusable(f"No attribute has {FACES_MIN} faces with it and as many without, in {FOLDS} pictures.")
    path = write_heads(settings.model_files.models_dir, trained.heads)
    console.print(f"{path} has them; a server that is started now answers with them.", soft_wrap=True, highlight=False)
