"""Where a process listens: on this machine alone, or open to others. Nothing here asks who is calling."""

import ipaddress

import structlog

log = structlog.get_logger()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def say_if_open(host: str, port: int, setting: str) -> None:
    """Warn when others can reach it: whoever does may read and steer everything."""
    if not is_loopback(host):
        log.warning(
            "OPEN TO OTHER MACHINES WITHOUT ANY PASSWORD: whoever reaches this port can read, change and stop"
            " everything",
            host=host,
            port=port,
            mend=f"{setting}=127.0.0.1, or a proxy or firewall in front that asks who is calling",
        )
