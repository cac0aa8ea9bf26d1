"""Claim bodies are sealed to their tenant and evaluation; editions on disk are whole, checked and mapped."""

from datetime import date
from pathlib import Path

import pytest

from rules_service.primitives.canonical import sha256_hex
from rules_service.reference.code_table import CodeTable, Row, write_code_table
from rules_service.storage.cipher import ClaimCipher
from rules_service.storage.editions import EditionFiles
from rules_service.storage.ids import new_id


def test_a_body_opens_only_where_it_belongs() -> None:
    cipher, other = ClaimCipher(bytes(32)), ClaimCipher(bytes([1]) * 32)
    sealed = cipher.seal(b"claim", "t", "ev_1")
    assert b"claim" not in sealed.ciphertext
    assert cipher.open(sealed, "t", "ev_1") == b"claim"
    for wrong, tenant, evaluation in ((cipher, "u", "ev_1"), (cipher, "t", "ev_2"), (other, "t", "ev_1")):
        with pytest.raises(ValueError, match="cannot be opened"):
            wrong.open(sealed, tenant, evaluation)
    assert cipher.seal(b"claim", "t", "ev_1").ciphertext != sealed.ciphertext


def test_a_lineage_is_the_same_for_one_claim_and_tells_nothing() -> None:
    cipher = ClaimCipher(bytes(32))
    assert cipher.lineage("t", "P", "PCN") == cipher.lineage("t", "P", "PCN")
    assert cipher.lineage("t", "P", "PCN") != cipher.lineage("t", "PP", "CN")
    assert "PCN" not in cipher.lineage("t", "P", "PCN")


def test_the_key_file_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "claim.key"
    first = ClaimCipher.from_text_or_file(None, path)
    assert ClaimCipher.from_text_or_file(None, path).key_id == first.key_id
    assert path.stat().st_mode & 0o077 == 0


def test_ids_rise_with_time_and_never_repeat() -> None:
    ids = [new_id("ev") for _ in range(10_000)]
    assert len(set(ids)) == len(ids)
    assert [one[:15] for one in ids] == sorted(one[:15] for one in ids)
    assert all(one[3 + 12] == "7" for one in ids)


def test_an_edition_is_fetched_once_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    blob = write_code_table([Row("A", date(2020, 1, 1), None, ())], ())
    fetched = []

    def fetch() -> bytes:
        fetched.append(1)
        return blob

    sha256 = sha256_hex(blob)
    assert isinstance(EditionFiles(tmp_path).opener(sha256, fetch)(), CodeTable)
    assert isinstance(EditionFiles(tmp_path).opener(sha256, fetch)(), CodeTable)
    assert len(fetched) == 1
    with pytest.raises(ValueError, match="not that of"):
        EditionFiles(tmp_path).opener("0" * 64, fetch)()
    assert {path.name for path in tmp_path.iterdir()} == {f"{sha256}.table"}
