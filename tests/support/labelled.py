"""Embeddings of labelled faces, drawn as the faces of albums are, and how often impostors pass among all of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rekognition_emulator.inference.embedders.aligned import of_unit_length


@dataclass(frozen=True, slots=True, eq=False)
class LabelledFaces:
    """Faces of one model.

    Attributes:
        people: (n,) whom each shows.
        embeddings: (n, dimension) float32, of unit length.
    """

    people: NDArray[np.intp]
    embeddings: NDArray[np.float32]

    @classmethod
    def read(cls, file: Path, array: str) -> "LabelledFaces":
        """Reads a file that has (n,) ``person`` and, under this name, embeddings."""
        with np.load(file) as arrays:
            people = np.unique(arrays["person"], return_inverse=True)[1].astype(np.intp)
            return cls(people, of_unit_length(arrays[array].astype(np.float32)))

    def impostor_rate(self, cosine: float) -> float:
        """Returns the share of all pairs of different people that reach a cosine."""
        beyond = total = 0
        for start in range(0, len(self.embeddings), 500):
            different = self.people[start : start + 500, np.newaxis] != self.people
            cosines = self.embeddings[start : start + 500] @ self.embeddings.T
            beyond += int((different & (cosines >= cosine)).sum())
            total += int(different.sum())
        return beyond / total

    def draw(self, random: np.random.Generator, faces: int) -> NDArray[np.intp]:
        """Draws so many rows: a tenth of the people twice, all others once."""
        numbers, counts = np.unique(self.people, return_counts=True)
        order = random.permutation(len(numbers))
        twice = [number for number in order if counts[number] > 1][: faces // 10]
        once = [number for number in order if number not in set(twice)][: faces - 2 * len(twice)]
        rows = [random.permutation(np.flatnonzero(self.people == numbers[number]))[:2] for number in twice]
        rows += [random.permutation(np.flatnonzero(self.people == numbers[number]))[:1] for number in once]
        return random.permutation(np.concatenate(rows))


def draw_images(random: np.random.Generator, faces: int) -> NDArray[np.intp]:
    """Returns (faces,) the image that each is in: three to eight in each."""
    return np.repeat(np.arange(faces), random.integers(3, 9, faces))[:faces]
