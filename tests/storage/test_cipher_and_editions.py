"""Claim bodies are sealed to their tenant and evaluation; editions on disk are whole, checked and mapped."""

import base64
from datetime import date
from pathlib import Path

import pytest

from rules_service.primitives.canonical import sha256_hex
from rules_service.reference.code_table import CodeTable, Row, write_code_table
from rules_service.storage.cipher import ClaimCipher
from rules_service.storage.editions import EditionFiles

SEARCH = bytes([7]) * 32


def test_a_body_opens_only_where_it_belongs() -> None:
    cipher, other = ClaimCipher([bytes(32)], SEARCH), ClaimCipher([bytes([1]) * 32], SEARCH)
    sealed = cipher.seal(b"claim", "t", "ev_1")
    assert b"claim" not in sealed.ciphertext
    assert cipher.open(sealed, "t", "ev_1") == b"claim"
    for tenant, evaluation in (("u", "ev_1"), ("t", "ev_2")):
        with pytest.raises(ValueError, match="cannot be opened"):
            cipher.open(sealed, tenant, evaluation)
    with pytest.raises(ValueError, match="not known here"):
        other.open(sealed, "t", "ev_1")
    assert cipher.seal(b"claim", "t", "ev_1").ciphertext != sealed.ciphertext


def test_a_lineage_is_the_same_for_one_claim_and_tells_nothing() -> None:
    cipher = ClaimCipher([bytes(32)], SEARCH)
    assert cipher.lineage("t", "P", "PCN") == cipher.lineage("t", "P", "PCN")
    assert cipher.lineage("t", "P", "PCN") != cipher.lineage("t", "PP", "CN")
    assert "PCN" not in cipher.lineage("t", "P", "PCN")


def test_a_control_number_has_one_hash_a_tenant_which_outlives_the_claim_key() -> None:
    cipher, rotated = ClaimCipher([bytes(32)], SEARCH), ClaimCipher([bytes([1]) * 32, bytes(32)], SEARCH)
    assert cipher.control_hash("t", "PCN-1") == rotated.control_hash("t", "PCN-1")
    others = {
        cipher.control_hash("u", "PCN-1"),
        cipher.control_hash("t", "PCN-2"),
        ClaimCipher([bytes(32)], bytes(32)).control_hash("t", "PCN-1"),
    }
    assert len(others) == 3
    assert cipher.control_hash("t", "PCN-1") not in others
    assert cipher.lineage("t", "PCN-1") == rotated.lineage("t", "PCN-1")


def test_what_was_sealed_with_an_earlier_key_is_opened_and_what_is_new_has_the_current_one() -> None:
    old = ClaimCipher([bytes(32)], SEARCH)
    ring = ClaimCipher([bytes([1]) * 32, bytes(32)], SEARCH)
    assert ring.open(old.seal(b"claim", "t", "ev_1"), "t", "ev_1") == b"claim"
    assert ring.seal(b"claim", "t", "ev_1").key_id == ring.key_id != old.key_id


def test_the_key_files_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    first = ClaimCipher.from_settings(None, None, folder)
    second = ClaimCipher.from_settings(None, None, folder)
    assert (second.key_id, second.control_hash("t", "x")) == (first.key_id, first.control_hash("t", "x"))
    for name in ("claim.key", "search.key"):
        assert (folder / name).stat().st_mode & 0o077 == 0


def test_keys_are_given_both_or_neither_and_have_256_bits(tmp_path: Path) -> None:
    key = base64.b64encode(bytes(32)).decode()
    assert ClaimCipher.from_settings(f"{key},{key}", key, tmp_path).key_id == ClaimCipher([bytes(32)], SEARCH).key_id
    for claim_keys, search_key in ((key, None), (None, key)):
        with pytest.raises(ValueError, match="both or neither"):
            ClaimCipher.from_settings(claim_keys, search_key, tmp_path)
    with pytest.raises(ValueError, match="32 bytes"):
        ClaimCipher.from_settings("AAAA", key, tmp_path)


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
