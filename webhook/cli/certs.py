"""Issues, inspects and rotates serving certificates in a folder (tls.crt, tls.key, ca.crt).

`serve --cert-dir` takes up changed files while it runs. Rotating keeps the former CA in ca.crt, so that clients that
trust ca.crt trust the old and the new certificate alike.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from certs.inspect import Summary, UnreadableError, summarize
from certs.rotate import rotate
from certs.store import CERTIFICATE, provide
from webhook.cli import OK, UsageError
from webhook.cli.serve import names

EXAMPLE = """examples:
  netadmit certs issue --dir tls --dns-name netadmit.netadmit.svc
  netadmit certs inspect --dir tls
  netadmit certs rotate --dir tls
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action, summary in (
        ("issue", "issues CA and certificate into a folder that has none"),
        ("inspect", "says for whom and how long the certificate is, and whether key and CA belong to it"),
        ("rotate", "issues a new CA and certificate for the same names; the former CA stays trusted"),
    ):
        command = actions.add_parser(action, help=summary, description=summary)
        command.add_argument("--dir", required=True, metavar="DIR", help="the folder")
        if action == "issue":
            command.add_argument(
                "--dns-name", action="append", default=[], metavar="NAME", help="besides the usual ones"
            )


def run(args: argparse.Namespace) -> int:
    folder, now = Path(args.dir), datetime.now(UTC)
    try:
        if args.action == "issue" and not provide(folder, names("", args.dns_name), now).issued:
            raise UsageError(f"{folder} holds a certificate already; netadmit certs rotate replaces it")
        if args.action == "rotate":
            rotate(folder, now)
        summary = summarize(folder)
    except UnreadableError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"{error.filename or folder}: {error.strerror}") from None
    _print(folder, summary, now)
    return OK


def _print(folder: Path, summary: Summary, now: datetime) -> None:
    days = (summary.not_after - now).days
    state = f"{days} days left" if days >= 0 else f"expired {-days} days ago"
    print(f"{folder / CERTIFICATE}: {summary.subject}, issued by {summary.issuer}")
    print(f"  for      {', '.join(summary.names)}")
    print(f"  valid    {summary.not_before:%Y-%m-%d %H:%M} to {summary.not_after:%Y-%m-%d %H:%M} UTC ({state})")
    print(f"  key      {'belongs to it' if summary.key_matches else 'DOES NOT belong to it'}")
    print(f"  CA       {'trusts it' if summary.trusted else 'DOES NOT trust it'}")
