"""`make openapi`: everything that is generated and checked in. CI compares it with what the code gives now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from rules_service.api.app import create_app
from rules_service.api.openapi import openapi_document
from rules_service.claim.claim import Claim
from rules_service.claim.codec import schema_value
from rules_service.findings.evaluation import Evaluation
from rules_service.findings.finding import Finding
from rules_service.packs.model import CasesFile, PackFile, RuleFile
from rules_service.packs.pages import pages, shipped_crosswalk, write_pages
from rules_service.packs.read import Pack, find_packs, read_pack
from rules_service.reference.code_table import CodeTable
from rules_service.rules.rule import Manifest, RuleVersionContent
from rules_service.services.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
STRUCTURES: dict[str, Any] = {
    "claim": Claim,
    "finding": Finding,
    "evaluation": Evaluation,
    "rule-version": RuleVersionContent,
    "manifest": Manifest,
}
PACK_FILES: dict[str, Any] = {"pack": PackFile, "rule": RuleFile, "cases": CasesFile}


def _text(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _shipped() -> tuple[list[Pack], CodeTable]:
    """The shipped packs and the shipped crosswalk."""
    packs = ROOT / "payer_rules"
    return [read_pack(folder) for folder in find_packs(packs)], shipped_crosswalk(packs / "reference_samples")


def generated() -> dict[Path, str]:
    """Text of every generated file, by path from the project's root."""
    files = {Path("openapi/openapi.json"): _text(openapi_document(create_app(Settings())))}
    for name, structure in STRUCTURES.items():
        files[Path(f"openapi/schemas/{name}.schema.json")] = _text(msgspec.json.schema(structure, schema_hook=schema_value))
    for name, structure in PACK_FILES.items():
        files[Path(f"payer_rules/schema/{name}.schema.json")] = _text(msgspec.json.schema(structure, schema_hook=schema_value))
    for name, text in pages(*_shipped()).items():
        files[Path("docs") / name] = text
    return files


def main() -> None:
    """Write them."""
    for path, text in generated().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text)
    write_pages(*_shipped(), ROOT / "docs")


if __name__ == "__main__":
    main()
