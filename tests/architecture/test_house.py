"""The house: import contracts can fail, no machine paths, no registry hosts, the Dockerfile's promises, sizes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [ROOT / line for line in listed.splitlines() if (ROOT / line).is_file()]


def test_the_import_contracts_would_notice_a_breach(tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(ROOT / "rules_service", tmp_path / "rules_service"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    lint = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path)}
    assert subprocess.run(lint, cwd=tmp_path, env=environment, capture_output=True, check=False).returncode == 0
    with (copy / "primitives" / "money.py").open("a") as file:
        file.write("\nimport sqlalchemy\nfrom rules_service.rules import rule\n")
    with (copy / "services" / "settings.py").open("a") as file:
        file.write("\nimport durable_rules_engine\nfrom rules_service.storage import tables\n")
    broken = subprocess.run(lint, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert broken.returncode != 0
    for contract in ("Data flows one way", "The core is pure", "durable_rules behind one door", "Tables stay inside storage"):
        assert f"{contract} BROKEN" in broken.stdout


def test_no_lock_file_or_text_names_a_registry_host_or_a_machine_path() -> None:
    hosts = re.compile(r"https?://[^\s\"']*(?:pypi|pythonhosted|npmjs|debian\.org)|--(?:extra-)?index-url|file:///", re.IGNORECASE)
    machine = str(ROOT.parent) + "/"
    for path in tracked():
        if path.suffix in (".png", ".gz") or path == Path(__file__):
            continue
        text = path.read_text(encoding="utf-8")
        assert not hosts.search(text), path
        assert machine not in text, path


def test_every_dependency_is_pinned_with_a_hash() -> None:
    for name in ("requirements.lock", "requirements-dev.lock", "requirements-build.lock"):
        text = (ROOT / name).read_text()
        for block in re.split(r"\n(?=\S)", text):
            if block.strip() and not block.startswith("#"):
                assert "==" in block.splitlines()[0], block
                assert "--hash=sha256:" in block, block


def test_the_dockerfile_is_multi_stage_non_root_and_healthy() -> None:
    lines = [line.strip() for line in (ROOT / "Dockerfile").read_text().splitlines()]
    stages = [line for line in lines if line.startswith("FROM ")]
    assert len(stages) == 2
    assert all(re.search(r":[\d.]+-slim", stage) for stage in stages)
    last = lines[lines.index(stages[1]) :]
    assert any(line.startswith("USER ") and "root" not in line and not line.endswith(" 0") for line in last)
    assert any(line.startswith("HEALTHCHECK") for line in last)
    assert any(line.startswith("VOLUME") for line in last)
    text = "\n".join(last)
    for setting in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_", "PYTHONDONTWRITEBYTECODE"):
        assert setting in text
    assert "--require-hashes" in "\n".join(lines)
    assert "-O2" in "\n".join(lines)
    assert "gcc" not in text
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source


@pytest.mark.parametrize(
    "path", [path for path in tracked("*.py") if "versions" not in path.parts], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_a_module_has_one_subject(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 560


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 120


def test_ci_calls_make_test() -> None:
    assert "make test" in (ROOT / ".ci/run").read_text()


def test_modules_of_the_library_have_no_test_only_words() -> None:
    for path in tracked("rules_service/*.py"):
        assert not re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", path.read_text()), path
