"""`python -m devstack`: up, down, status, logs, run, demo, doctor, topics, storage.

Exit codes: 0 done, 1 failed (it says why), 78 wrong settings, 130 Ctrl-C.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from dataclasses import asdict

from rich.console import Console

from devstack.environment import changed_settings, check, open_to_others, remember_settings
from devstack.errors import DevstackError
from devstack.settings import DevstackSettings, load_settings, read_env_file
from runtime.errors import EXIT_CONFIGURATION, ConfigurationError
from schemas.shown import printable, without_secrets

FAILED, INTERRUPTED = 1, 130
STARTING = ("up", "run", "demo")


def main() -> int:
    """Run one command."""
    arguments = _parser().parse_args()
    console = Console(stderr=getattr(arguments, "json", False), highlight=False)
    try:
        if arguments.command in STARTING:
            read_env_file()
            check()  # a wrong setting of a process is said now, not after Kafka has started
        return int(COMMANDS[arguments.command](load_settings(), console, arguments) or 0)
    except (DevstackError, ConfigurationError) as error:
        said = printable(without_secrets(str(error)))
        Console(stderr=True, highlight=False, markup=False).print(said, style="bold red", soft_wrap=True)
        return EXIT_CONFIGURATION if isinstance(error, ConfigurationError) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except (BrokenPipeError, SystemExit) as error:
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read it has enough, as `head` has
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m devstack", description="IntelliInspect on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start everything in the background; return when it is ready")
    commands.add_parser("down", help="stop everything; data stays")
    commands.add_parser("run", help="run everything in the foreground until Ctrl-C")
    topics = commands.add_parser("topics", help="create the topics on the broker, or say how they differ")
    topics.add_argument(
        "--acls",
        action="store_true",
        help="print the least rights of each process as lines for kafka-acls.sh, and stop",
    )
    commands.add_parser("demo", help="the whole job on generated data (DEMO_ROWS, DEMO_EXIT)")
    storage = commands.add_parser("storage", help="say which storage there is")
    storage.add_argument(
        "--begin-anew",
        action="store_true",
        help="make an empty place the storage, although Kafka knows of datasets and models",
    )
    for name, text in (("status", "parts, addresses, memory"), ("doctor", "check this machine, say how to mend it")):
        commands.add_parser(name, help=text).add_argument("--json", action="store_true")
    logs = commands.add_parser("logs", help="show and follow the logs")
    logs.add_argument("parts", nargs="*")
    logs.add_argument("--lines", type=int, default=10)
    logs.add_argument("--no-follow", action="store_true")
    return parser


def _up(settings: DevstackSettings, console: Console, _: argparse.Namespace) -> None:
    from devstack.control import up
    from devstack.state import is_running

    running = is_running(settings.folder)
    up(settings, console)
    if running and (changed := changed_settings(settings.folder)):
        told = (
            f"This stack was started before these settings changed and does not know them: {', '.join(changed)}. make"
            " down, then make up."
        )
        console.print(told, style="bold yellow", soft_wrap=True)
    for name in open_to_others():
        console.print(f"{name}={os.environ[name]}: OPEN TO OTHER MACHINES WITHOUT ANY PASSWORD", style="bold red")


def _down(settings: DevstackSettings, console: Console, _: argparse.Namespace) -> None:
    from devstack.control import down

    down(settings, console)


def _run(settings: DevstackSettings, console: Console, _: argparse.Namespace) -> None:
    from devstack.stack import run_stack
    from runtime.logging import configure

    configure("devstack", settings.log_level, settings.log_format)
    logging.getLogger("aiokafka").setLevel(
        logging.CRITICAL
    )  # it logs each try to reach a broker that is still starting

    async def until_asked() -> None:
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        remember_settings(settings.folder)
        await run_stack(settings, stopping)

    asyncio.run(until_asked())


def _topics(settings: DevstackSettings, console: Console, arguments: argparse.Namespace) -> None:
    if arguments.acls:
        from devstack.acls import rights

        for right in rights():
            print(right.command(settings.kafka_bootstrap_servers))
        return
    from devstack.topics import create_topics

    counts = {"data_partitions": settings.data_partitions, "control_partitions": settings.control_partitions}
    created = asyncio.run(create_topics(settings.kafka(), **counts))
    console.print(f"created: {', '.join(created)}" if created else "all topics are there")


def _storage(settings: DevstackSettings, console: Console, arguments: argparse.Namespace) -> None:
    from storage.errors import StorageUnavailable
    from storage.objects.files import Storage

    storage = Storage(settings.storage)
    try:
        if arguments.begin_anew:
            storage.initialise()
        storage.check()
    except StorageUnavailable as error:
        raise DevstackError(str(error)) from error
    console.print(f"{storage.id} at {storage.url}", markup=False)


def _status(settings: DevstackSettings, console: Console, arguments: argparse.Namespace) -> int:
    from devstack.state import is_running, read_state
    from devstack.status import document, table

    state = read_state(settings.folder)
    if state is None or not is_running(settings.folder):
        if arguments.json:
            print(json.dumps({"phase": "stopped", "failure": state.failure if state else "", "parts": []}))
        else:
            console.print(
                f"nothing runs from {settings.folder}"
                + (f"\nlast time: {state.failure}" if state and state.failure else "")
            )
        return FAILED
    print(json.dumps(document(state))) if arguments.json else console.print(table(state))
    if (changed := changed_settings(settings.folder)) and not arguments.json:
        console.print(
            f"changed since the stack was started: {', '.join(changed)}; make down, then make up",
            style="yellow",
            soft_wrap=True,
        )
    return 0 if state.phase == "ready" else FAILED


def _doctor(settings: DevstackSettings, console: Console, arguments: argparse.Namespace) -> int:
    from devstack.doctor import examine

    findings = list(examine(settings))
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in findings]))
    else:
        for finding in findings:
            console.print(
                f"{finding.state:8}{finding.check}: {finding.detail}"
                + (f"\n        → {finding.mend}" if finding.mend else ""),
                markup=False,
            )
    return FAILED if any(finding.state == "failed" for finding in findings) else 0


def _logs(settings: DevstackSettings, console: Console, arguments: argparse.Namespace) -> None:
    from devstack.logs import files, follow, last_lines

    logs = files(settings.logs, arguments.parts)
    if not logs:
        raise DevstackError(f"no such logs in {settings.logs}")
    for name, path in logs.items():
        for line in last_lines(path, arguments.lines):
            print(f"{name:18}{line}", flush=True)
    if not arguments.no_follow:
        for name, line in follow(logs):
            print(f"{name:18}{line}", flush=True)


def _demo(settings: DevstackSettings, console: Console, _: argparse.Namespace) -> int:
    from devstack.demo import demo

    return demo(settings, console)


COMMANDS = {
    "up": _up,
    "down": _down,
    "run": _run,
    "topics": _topics,
    "status": _status,
    "doctor": _doctor,
    "logs": _logs,
    "demo": _demo,
    "storage": _storage,
}

if __name__ == "__main__":
    sys.exit(main())
