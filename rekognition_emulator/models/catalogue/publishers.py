"""Where publishers of several models keep their files."""


def deepface(file: str) -> tuple[str, str]:
    """Returns where DeepFace 0.0.103 fetches a network from: its release, and the copy of it that is tried second."""
    return (
        f"https://github.com/serengil/deepface_models/releases/download/v1.0/{file}",
        f"https://huggingface.co/serengil/deepface/resolve/main/{file}",
    )


def opencv_zoo(model: str, file: str) -> tuple[str, str]:
    """Returns where opencv_zoo keeps a network: the repository, which is archived, and what replaced it."""
    return (
        f"https://huggingface.co/opencv/{model}/resolve/main/{file}",
        f"https://github.com/opencv/opencv_zoo/raw/main/models/{model}/{file}",
    )
