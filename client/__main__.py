"""Entry of the `intelliinspect` command."""

from client.command.app import app
from client.command.terminal import end_quietly


def main() -> None:
    """Run one command. A reader that leaves early is no failure, of the help either, which typer prints by itself."""
    try:
        app(prog_name="intelliinspect")
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):
            end_quietly()
        raise


if __name__ == "__main__":
    main()
