"""``python -m rekognition_emulator``: serves, or runs the command that is named."""

import sys


def main() -> None:
    """Serves, or runs the command that is named."""
    if sys.argv[1:] in ([], ["serve"]):
        # Not by way of the other commands: a server starts without the libraries that only they need.
        from rekognition_emulator.cli.serving import serve  # noqa: PLC0415 - each way loads only what it needs

        serve()
    else:
        from rekognition_emulator.cli.commands import app  # noqa: PLC0415 - likewise
        from rekognition_emulator.cli.log import configure_logging  # noqa: PLC0415 - likewise

        configure_logging("warning")  # on the other stream stands what the command prints
        app(prog_name="rekognition-emulator")


if __name__ == "__main__":
    main()
