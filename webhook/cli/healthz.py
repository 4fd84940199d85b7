"""Asks the netadmit that runs beside it whether it lives: for the HEALTHCHECK of an image, which has no curl.

Exit code 0 when it answers, 1 when it does not. Kubernetes asks by itself (the chart's probes) and needs none of this.
"""

import argparse
import http.client
import sys
from typing import Final

from webhook.cli import DENIED, OK

EXAMPLE = """examples:
  netadmit healthz
  netadmit healthz --ready --metrics-port 9090 || echo not yet
"""
_SECONDS: Final = 3.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--address", default="127.0.0.1", help="where it listens (default: 127.0.0.1)")
    parser.add_argument(
        "--metrics-port",
        type=_port,
        default=8080,
        metavar="PORT",
        help="its port for health and metrics (default: 8080)",
    )
    parser.add_argument("--ready", action="store_true", help="ask whether it has read the cluster's state, too")


def _port(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 1 to 65535")
    return number


def run(args: argparse.Namespace) -> int:
    path = "/readyz" if args.ready else "/healthz"
    connection = http.client.HTTPConnection(args.address, args.metrics_port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read(1 << 20).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        where = f"{args.address}:{args.metrics_port}"
        sys.stderr.write(f"netadmit: nothing healthy at {where}: {getattr(error, 'strerror', '') or error}\n")
        return DENIED
    finally:
        connection.close()
    sys.stdout.write(text)
    return OK if answer.status == http.client.OK else DENIED
