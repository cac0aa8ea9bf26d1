"""The reference tables this service knows, by name, with the reader of each publisher's layout: bytes in, an immutable table out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.errors import Issue, ReferenceFault
from rules_service.reference.code_set_files import read_hcpcs, read_icd10cm, read_places_of_service, read_remittance_codes
from rules_service.reference.ncci_files import read_add_on_codes, read_pairs, read_unit_limits
from rules_service.reference.policy_files import (
    read_code_list,
    read_denial_crosswalk,
    read_diagnosis_age_sex,
    read_diagnosis_lists,
    read_excludes1,
    read_fee_schedule,
    read_payment_status,
)
from rules_service.reference.readers import as_partial
from rules_service.reference.registry_files import read_clia_certificates, read_ndc_codes, read_ndc_packages, read_order_and_referring
from rules_service.reference.source_files import ParsedTable, Reader, SourceFile

Mode = Literal["cumulative", "periodic"]


@dataclass(frozen=True, slots=True)
class TableKind:
    """A reference table this service knows by name."""

    name: str
    title: str
    mode: Mode
    read: Reader


TABLES: dict[str, TableKind] = {
    table.name: table
    for table in (
        TableKind("ncci_ptp_practitioner", "NCCI PTP, practitioner and ASC", "cumulative", read_pairs),
        TableKind("ncci_ptp_outpatient_hospital", "NCCI PTP, outpatient hospital", "cumulative", read_pairs),
        TableKind("ncci_mue_practitioner", "MUE, practitioner", "periodic", read_unit_limits),
        TableKind("ncci_mue_outpatient_hospital", "MUE, outpatient hospital", "periodic", read_unit_limits),
        TableKind("ncci_mue_dme_supplier", "MUE, DME supplier", "periodic", read_unit_limits),
        TableKind("ncci_ptp_medicaid_practitioner", "Medicaid NCCI PTP, practitioner and ASC", "cumulative", read_pairs),
        TableKind("ncci_ptp_medicaid_outpatient_hospital", "Medicaid NCCI PTP, outpatient hospital", "cumulative", read_pairs),
        TableKind("ncci_mue_medicaid_practitioner", "Medicaid MUE, practitioner", "periodic", read_unit_limits),
        TableKind("ncci_mue_medicaid_outpatient_hospital", "Medicaid MUE, outpatient hospital", "periodic", read_unit_limits),
        TableKind("ncci_mue_medicaid_dme_supplier", "Medicaid MUE, DME supplier", "periodic", read_unit_limits),
        TableKind("physician_fee_schedule", "Physician fee schedule indicators", "periodic", read_fee_schedule),
        TableKind("opps_payment_status", "Status of codes in outpatient departments (OPPS Addendum B)", "periodic", read_payment_status),
        TableKind("diagnosis_age_sex", "Ages and sex of diagnoses (Medicare Code Editor)", "periodic", read_diagnosis_age_sex),
        TableKind(
            "diagnosis_lists",
            "Lists of diagnoses: manifestation, unacceptable principal, POA-exempt, side",
            "periodic",
            read_diagnosis_lists,
        ),
        TableKind("diagnosis_sides", "Diagnoses whose title names a side", "periodic", read_diagnosis_lists),
        TableKind("icd10cm_excludes1", "ICD-10-CM Excludes1 notes", "periodic", read_excludes1),
        TableKind("cpt_codes", "CPT codes and their dates, from a licensee's list", "cumulative", read_code_list),
        TableKind("modifiers", "Modifiers", "cumulative", read_code_list),
        TableKind("revenue_codes", "Revenue codes", "cumulative", read_code_list),
        TableKind("nucc_taxonomy", "NUCC provider taxonomy codes", "cumulative", read_code_list),
        TableKind("condition_codes", "Condition codes, from a licensee's list", "cumulative", read_code_list),
        TableKind("occurrence_codes", "Occurrence and occurrence span codes, from a licensee's list", "cumulative", read_code_list),
        TableKind("value_codes", "Value codes, from a licensee's list", "cumulative", read_code_list),
        TableKind("order_and_referring", "Who may order and refer in Medicare", "periodic", read_order_and_referring),
        TableKind("clia_laboratories", "Certificates of laboratories (Provider of Services)", "periodic", read_clia_certificates),
        TableKind("ndc_packages", "Drug packages (National Drug Code Directory)", "cumulative", read_ndc_packages),
        TableKind("ndc_codes", "HCPCS codes of drug packages", "cumulative", read_ndc_codes),
        TableKind("single_dose_drugs", "Drugs in single-dose containers (JW and JZ)", "periodic", read_code_list),
        TableKind("denial_crosswalk", "Findings and the denials they predict", "cumulative", read_denial_crosswalk),
        TableKind("ncci_add_on_codes", "NCCI add-on code edits", "cumulative", read_add_on_codes),
        TableKind("hcpcs_level_ii", "HCPCS Level II codes and modifiers", "cumulative", read_hcpcs),
        TableKind("icd10cm", "ICD-10-CM diagnosis codes", "periodic", read_icd10cm),
        TableKind("icd10pcs", "ICD-10-PCS procedure codes", "periodic", read_icd10cm),
        TableKind("place_of_service", "Place of service codes", "cumulative", read_places_of_service),
        TableKind("remittance_codes", "CARC, RARC and group codes with dates", "cumulative", read_remittance_codes),
    )
}


def parse_table(name: str, files: list[SourceFile], coverage: EffectivePeriod, is_partial: bool = False) -> ParsedTable:
    """The edition's bytes; ReferenceFault with file and line for every bad row, or when the table is unknown or empty.

    `is_partial` marks an extract of the published table, whose silence about a code means nothing.
    """
    table = TABLES.get(name)
    if table is None:
        raise ReferenceFault(
            "No such reference table",
            [Issue("unknown_table", name, "No reference table has this name.", f"Known: {', '.join(sorted(TABLES))}.")],
        )
    parsed = table.read(files, coverage)
    if parsed.rows == 0:
        raise ReferenceFault(
            "The edition is empty",
            [Issue("empty", files[0].name if files else name, "No data row was found.", "Load the file as its publisher ships it.")],
        )
    return ParsedTable(as_partial(parsed.blob), parsed.rows, is_partial=True) if is_partial else parsed


def census_issue(name: str, rows_now: int, rows_before: int | None, tolerance_percent: int = 20) -> Issue | None:
    """A fault when the number of rows differs from the edition before by more than the tolerance."""
    if rows_before is None or abs(rows_now - rows_before) * 100 <= rows_before * tolerance_percent:
        return None
    return Issue(
        "census",
        name,
        f"{rows_now} rows, the edition before had {rows_before}: a difference of more than {tolerance_percent}%.",
        "Check that the file is whole and of this table; accept the census explicitly if it is.",
    )
