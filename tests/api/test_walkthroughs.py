"""Every command of docs/walkthroughs.md, run as a reader would run it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from tests.support.server import ROOT, Server

BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/walkthroughs.md").read_text(), re.DOTALL)
SAID = (
    '"outcome": "findings"', "None", '"segment": 15', "SIMULATED NOT A PAYER", '"index":0,"segment":15', '"pa-needed": "auth-needed"', '"severity": "error"', '"authorization": "auth-needed"',
)  # fmt: skip
"""What each prints, in part."""


def test_every_command_is_looked_at() -> None:
    assert len(BLOCKS) == len(SAID)


@pytest.mark.parametrize(("block", "said"), list(zip(BLOCKS, SAID, strict=False)), ids=range(len(SAID)))
def test_a_command_of_the_walkthroughs_works(server: Server, block: str, said: str) -> None:
    assert shutil.which("curl"), "the commands of the walk-throughs are curl's: install it"
    environment = os.environ | {"BASE": server.base_url, "KEY": server.key, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout, done.stdout
