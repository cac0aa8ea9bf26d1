"""Shapes and check digits of the identifiers a claim carries."""

from __future__ import annotations

import functools
import re

# CMS "Understanding the MBI format": 11 characters, no dashes, letters without S, L, O, I, B, Z.
_MBI = re.compile(r"[1-9][AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y][0-9][AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y][0-9][AC-HJKMNP-RT-Y]{2}[0-9]{2}\Z")
_DIAGNOSIS = re.compile(r"[A-Z][0-9][0-9A-Z](?:\.?[0-9A-Z]{1,4})?\Z")


@functools.lru_cache(maxsize=4_096)
def npi_is_valid(npi: str) -> bool:
    """Ten digits starting with 1 or 2 whose Luhn sum over `80840` + NPI is a multiple of ten (45 CFR 162.406)."""
    if len(npi) != 10 or not (npi.isascii() and npi.isdigit()) or npi[0] not in "12":
        return False
    total = 24  # the constant contribution of the prefix 80840
    for index, char in enumerate(npi):
        digit = int(char)
        if index % 2 == 0:
            digit *= 2
            if digit > 9:
                digit -= 9
        total += digit
    return total % 10 == 0


def shown_npi(npi: str | None) -> str | None:
    """The NPI when it is one, which is public; none for anything else that was typed into its place."""
    return npi if npi is not None and npi_is_valid(npi) else None


def mbi_is_valid(member_id: str) -> bool:
    """True for a Medicare Beneficiary Identifier in the published format (CMS MBI format, 2017)."""
    return bool(_MBI.match(member_id))


_CLIA = re.compile(r"[0-9]{2}D[0-9]{7}\Z")


def clia_is_valid(number: str) -> bool:
    """Ten characters with a D in the third place (42 CFR 493; X12 REF*X4)."""
    return bool(_CLIA.match(number))


_SHOWABLE_CODE = re.compile(r"(?:(?=[A-Z0-9.]*[0-9])[A-Z0-9.]{1,8}|[A-Z0-9]{2})\Z")


_FORMS = (
    ("cpt", re.compile(r"[0-9]{5}\Z")),
    ("cpt_category_ii", re.compile(r"[0-9]{4}F\Z")),
    ("cpt_category_iii", re.compile(r"[0-9]{4}T\Z")),
    ("cpt_other", re.compile(r"[0-9]{4}[AMU]\Z")),
    ("hcpcs_level_ii", re.compile(r"[A-Z][0-9]{4}\Z")),
)


@functools.lru_cache(maxsize=4_096)
def procedure_form(code: str) -> str:
    """Which code set's form a procedure code has, or `other`; CPT `other` forms are PLA, MAAA and vaccine administration codes."""
    return next((form for form, pattern in _FORMS if pattern.match(code)), "other")


def shown_code(code: str | None) -> str:
    """The code when it is shaped like one, else a stand-in: a name typed into a code field must not reach a message."""
    return code if code and _SHOWABLE_CODE.match(code) else "(not a code)"


def spelled(name: str) -> str:
    """A name as it is compared: upper-case, with single spaces."""
    return " ".join(name.upper().split())


def without_punctuation(text: str) -> str:
    """The text upper-case, without spaces, dashes and dots: how X12 carries identifiers and ICD codes."""
    return "".join(char for char in text.upper() if char not in " -.")


def diagnosis_shape_is_valid(code: str) -> bool:
    """True for text shaped like an ICD-10-CM code: letter, digit, then up to five more (dot optional)."""
    return bool(_DIAGNOSIS.match(code))


def ndc_is_whole(ndc: str) -> bool:
    """Whether it is the eleven digits of an NDC on a claim (5-4-2 without dashes)."""
    return len(ndc) == 11 and ndc.isascii() and ndc.isdigit()


def eleven_digits(ndc: str) -> str | None:
    """A dashed NDC (4-4-2, 5-3-2, 5-4-1 or 5-4-2) in the eleven digits of a claim; None for anything else."""
    parts = ndc.strip().split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    lengths = tuple(len(part) for part in parts)
    if lengths not in ((4, 4, 2), (5, 3, 2), (5, 4, 1), (5, 4, 2)):
        return None
    return "".join(part.rjust(width, "0") for part, width in zip(parts, (5, 4, 2), strict=True))
