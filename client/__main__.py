"""Entry of the `intelliinspect` command."""

from client.app import app


def main() -> None:
    app(prog_name="intelliinspect")


if __name__ == "__main__":
    main()
