import base64

import numpy as np

from rekognition_emulator.imaging.image import Image
from rekognition_emulator.inference.engine import FaceEngine

PORTRAIT_100_1 = (
    "VQpSvQJPozykcdI8ic1kvZD86b1J3F28zVf6vJu2t71nMZk9uq3CvbGpDD5DqeO8XiMwvk3bvbxuqbc7kHLAPe16zb2ZZOW9fD24"
    "vYoNer1E2Ew8DKs0PQKiN7sc5Po8g1FBvn9pQ74MNkG9bP6VvTojBzwJ3gq9qKB5vGOagD0Eq4S9+hEGPc+Slj3qgqs9/z2avFs+"
    "fb2nnac97bw7vbjaKr6R4oO8gOo0PYrkCT7CiEo+XZAzvYesS7seXZW9UcfBPaT1PL4mYp08lVJfPReuVj0QVoo9eqEEPaAAvL1y"
    "6+U7p40kPvogS746xMy8qzQrPKqo372XmpS8J27uvDvWzT1mbbs9bD3+vVKuyb0zRfo9DPQ5vjZrJrxwyXw9G3SXvZmEAL4Kxli+"
    "sRxpvHprij5cyAI+zebrvZVdA70yBZS8J2APPFhbqzwe5JE8we5ive0bkL1DXJK9GWwKPdmHIj6D0DG9W+PCPCOuPD7jztQ8f/pp"
    "vLdKDD0zLZk9IWrGvRb+I73QGnK9+wvZuo/3Hb1yxmi9KbAfPdbC2T1UWra9Rj8JPrI7rrzpwLa8eCNBvARKGr2Bckm86l+TvR7f"
    "1z0B9Cm+lkY8PY0r8D0w3IU9nwf5PVgSt7nIIHg8KEoQve3JPr0jAdm9lB8mvP645jxVMki9kpN4PF54/zs="
)
"""The portrait's embedding of version 100.1, little-endian float32, as the first release made it."""


def test_version_100_1_stays_what_it_is(embedded: FaceEngine, portrait: Image) -> None:
    """Collections made by any release of this version can be searched by any other, on any processor.

    The last digits differ between processors, and resampling moves more: what matters is that the same face stays so.
    """
    (embedding,) = embedded.embed(portrait, embedded.detect(portrait))
    assert embedded.model.version == "100.1"
    first = np.frombuffer(base64.b64decode(PORTRAIT_100_1), "<f4")
    assert embedded.model.similarity(float(embedding @ first)) > 99.9
