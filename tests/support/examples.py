"""`make examples`: takes the tour of the contract on a fresh server and keeps what it gave as the contract's examples."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.exchanges import EXAMPLES, Exchanges, examples
from tests.support.receiver import RECEIVERS, receiving
from tests.support.server import Server, prepare, running
from tests.support.tour import tour

FACELESS = (
    (r"rst_[A-Za-z0-9_-]{20,}", "rst_EXAMPLE"),
    (r"whsec_[A-Za-z0-9+/=]{20,}", "whsec_RVhBTVBMRQ=="),
    (r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", "eyJhbGciOiJSUzM4NCJ9.e30.RVhBTVBMRQ"),
    (r"http://127\.0\.0\.1:\d+/hooks", "https://ehr.example.org/hooks"),
    (r"http://127\.0\.0\.1:\d+", "https://rules.example.org"),
)
"""What would look like a credential or name a machine."""


@contextmanager
def toured(url: str, folder: Path) -> Iterator[tuple[Server, Exchanges]]:
    """A server on a database, after the tour."""
    with receiving() as receiver, running(url, prepare(url), folder, OUTBOUND_NETWORKS=RECEIVERS, WEBHOOK_SECONDS="0.2") as server:
        yield server, tour(server, receiver)


def faceless(text: str) -> str:
    """The text without credentials and addresses."""
    for pattern, instead in FACELESS:
        text = re.sub(pattern, instead, text)
    return text


def main() -> None:
    """Write the files."""
    with tempfile.TemporaryDirectory() as folder, toured(f"sqlite:///{folder}/rules.db", Path(folder) / "data") as (_, exchanges):
        found = examples(exchanges.kept)
    for path in EXAMPLES.glob("*.json"):
        path.unlink()
    for path, text in found.items():
        path.write_text(faceless(text))
    print(f"{len(found)} operations, {len(exchanges.kept)} exchanges")


if __name__ == "__main__":
    main()
