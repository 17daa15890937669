"""What can go wrong with faces, in our words.

    FaceError
    ├── CollectionNotFound
    ├── CollectionExists
    ├── FaceModelChanged
    ├── FaceModelMismatch
    ├── FaceNotFound
    ├── NoFaceInPicture
    ├── ObjectTooLarge
    ├── ObjectUnavailable
    ├── PictureUnreadable
    ├── PictureTooSmall
    ├── PictureTooLarge
    ├── PictureTooCostly
    ├── PicturesTooMany
    ├── TokenInUse
    ├── TooManyTags
    ├── UserExists
    ├── UserFull
    └── UserNotFound

What AWS calls each of them is decided in one table, ``operations.error_map``.
"""

from uuid import UUID


class FaceError(Exception):
    """Root of everything that a caller can do wrong; never raised itself."""


class CollectionNotFound(FaceError):
    """The owner has no collection of this name, or it was deleted meanwhile."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class CollectionExists(FaceError):
    """The owner already has a collection of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class FaceModelChanged(FaceError):
    """The collection was given another face model since it was read: what was made of the old one is worth nothing."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class FaceModelMismatch(FaceError):
    """The collection was made with a face model that this server does not run; mixing the two is silent garbage."""

    def __init__(self, name: str, face_model_version: str) -> None:
        super().__init__(f"{name} holds faces of model {face_model_version}")
        self.name = name
        self.face_model_version = face_model_version


class FaceNotFound(FaceError):
    """The collection holds no face of this id."""

    def __init__(self, face_id: UUID) -> None:
        super().__init__(str(face_id))
        self.face_id = face_id


class NoFaceInPicture(FaceError):
    """A search by picture needs a face to search with."""


class ObjectTooLarge(FaceError):
    """A stored object has more bytes than any picture may have."""

    def __init__(self, bucket: str, key: str) -> None:
        super().__init__(f"{bucket}/{key}")


class ObjectUnavailable(FaceError):
    """A stored object is not there, may not be read, or does not arrive."""

    def __init__(self, bucket: str, key: str) -> None:
        super().__init__(f"{bucket}/{key}")


class PictureUnreadable(FaceError):
    """Not a JPEG or PNG, or one that does not decode."""


class PictureTooSmall(FaceError):
    """One side is below the smallest that is accepted."""


class PictureTooLarge(FaceError):
    """One side is above the largest that is accepted. Known from the header, before a pixel is decoded."""

    def __init__(self, width_px: int, height_px: int, side_px_max: int) -> None:
        super().__init__(f"{width_px} x {height_px}")
        self.width_px = width_px
        self.height_px = height_px
        self.side_px_max = side_px_max


class PictureTooCostly(FaceError):
    """Decoding it would take more memory or more time than any sensible picture does. Known before it is decoded."""


class PicturesTooMany(FaceError):
    """So many pictures that need much memory were sent at once that this one did not get its turn."""


class TokenInUse(FaceError):
    """A client's token for one request came again with another."""

    def __init__(self, token: str) -> None:
        super().__init__(token)
        self.token = token


class TooManyTags(FaceError):
    """The collection would have more tags than one may have."""

    def __init__(self, name: str, tags_max: int) -> None:
        super().__init__(f"{name}: more than {tags_max}")
        self.name = name
        self.tags_max = tags_max


class UserExists(FaceError):
    """The collection already has a user of this id."""

    def __init__(self, user_id: str) -> None:
        super().__init__(user_id)
        self.user_id = user_id


class UserFull(FaceError):
    """The user has as many faces as one may have."""

    def __init__(self, user_id: str, faces_max: int) -> None:
        super().__init__(f"{user_id}: {faces_max}")
        self.user_id = user_id
        self.faces_max = faces_max


class UserNotFound(FaceError):
    """The collection has no user of this id, or it was deleted meanwhile."""

    def __init__(self, user_id: str) -> None:
        super().__init__(user_id)
        self.user_id = user_id
