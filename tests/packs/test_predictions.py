"""What findings predict: every one that holds a claim says what the payer would answer, in codes that are active when it would."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from rules_service.engine.crosswalk import CROSSWALK, from_crosswalk, prediction_of, rows_by_code
from rules_service.engine.policy import complete_branches
from rules_service.packs.pages import shipped_crosswalk
from rules_service.packs.predictions import REMITTANCE_CODES, check_crosswalk, check_predictions, inactive, says_nothing
from rules_service.packs.read import find_packs, read_pack
from rules_service.packs.samples import memory_edition, sample_editions
from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.errors import ReferenceFault
from rules_service.reference.code_table import CodeTable, Row, write_code_table
from rules_service.reference.lookups import EditionCatalog
from rules_service.reference.publishers import parse_table
from rules_service.reference.source_files import SourceFile
from rules_service.rules.kinds.age_sex import AgeSexKind, AgeSexParameters
from rules_service.rules.kinds.diagnosis_coverage import DiagnosisCoverageKind, DiagnosisCoverageParameters
from rules_service.rules.kinds.telehealth import TelehealthKind, TelehealthParameters
from rules_service.rules.rule import Prediction
from tests.support.public_data import public
from tests.support.server import PACKS

TODAY = date(2026, 11, 25)
EVER = EffectivePeriod(date(1990, 1, 1))
HEAD = "finding_code,qualifier,outcome,group_code,carc,rarcs,requires_rarc,claim_status,appealable,patient_billable,effective_from,effective_through\n"
SAMPLES = PACKS / "reference_samples"


def catalog(rows: str | None = None) -> EditionCatalog:
    """The sample tables, with another crosswalk when one is given."""
    editions = [one for one in sample_editions(SAMPLES) if rows is None or one.name != CROSSWALK]
    if rows is not None:
        blob = parse_table(CROSSWALK, [SourceFile("c.csv", (HEAD + rows).encode())], EVER).blob
        editions.append(memory_edition(CROSSWALK, "test", blob, EVER))
    return EditionCatalog(editions)


def test_every_shipped_finding_that_holds_a_claim_predicts_active_codes() -> None:
    packs = [read_pack(folder) for folder in find_packs(PACKS)]
    assert list(check_predictions(packs, catalog(), TODAY)) == []
    assert list(check_crosswalk(catalog(), TODAY)) == []


def test_no_row_of_the_crosswalk_is_for_a_finding_nobody_gives() -> None:
    given = {
        branch.code
        for folder in find_packs(PACKS)
        for _, _, content in read_pack(folder).contents()
        for branch in complete_branches(content)
    }
    for kind, parameters in (
        (TelehealthKind(), TelehealthParameters(codes="t", origins="o")),
        (AgeSexKind(), AgeSexParameters(table="t", subject="procedure", checks=("age", "sex"))),
        *(
            (DiagnosisCoverageKind(), DiagnosisCoverageParameters(policies="p", diagnoses="d", basis=basis))
            for basis in ("ncd", "lcd", "policy")
        ),
    ):
        given |= {branch.code for branch in kind.branches(parameters)}
    assert set(rows_by_code(shipped_crosswalk(SAMPLES))) <= given


def test_shipped_predictions_are_active_in_the_published_code_lists() -> None:
    source = SourceFile("codes.csv", public("codesets/carc_rarc_group_codes_2024-06.csv").read_bytes())
    known = CodeTable(parse_table(REMITTANCE_CODES, [source], EVER).blob)
    published_until = date(2024, 6, 1).toordinal()
    for rows in rows_by_code(shipped_crosswalk(SAMPLES)).values():
        for row in rows:
            if row.first_day <= published_until:
                _, group, carc, rarcs, *_ = row.values
                wanted = [f"GROUP:{group}", f"CARC:{carc}", *(f"RARC:{code}" for code in str(rarcs).split())] if carc else []
                for key in wanted:
                    entry = known.on(key, row.first_day)
                    assert entry is not None, (row.key, key)
                    assert entry.last_day >= min(row.last_day, published_until), (row.key, key)


def test_a_finding_without_an_answer_is_named() -> None:
    pack = read_pack(PACKS / "example_commercial_ppo")
    issues = list(check_predictions([pack], catalog("tf.expired,,denial,CO,29,,false,A3:718,false,false,1996-01-01,\n"), TODAY))
    assert {issue.code for issue in issues} == {"PK023"}
    assert any("auth.missing" in issue.message and issue.where.startswith("example_commercial_ppo/rules/") for issue in issues)
    assert not any("tf.expired" in issue.message for issue in issues)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("x,,denial,CO,A2,,false,,true,false,2020-01-01,\n", "CARC A2"),
        ("x,,denial,CO,29,N999,false,,true,false,2020-01-01,\n", "RARC N999"),
        ("x,,denial,CO,29,,false,,true,false,1980-01-01,\n", "CARC 29"),
    ],
)
def test_a_row_of_the_crosswalk_with_a_code_that_is_not_active_is_named(row: str, said: str) -> None:
    issues = list(check_crosswalk(catalog(row), TODAY))
    assert [(issue.code, issue.where) for issue in issues][:1] == [("PK024", f"{CROSSWALK}:x")]
    assert any(said in issue.message for issue in issues)


def test_a_rule_s_own_prediction_is_held_to_the_days_of_its_version(tmp_path: Path) -> None:
    known = CodeTable(
        write_code_table([Row("CARC:1", date(2020, 1, 1), date(2020, 12, 31), ()), Row("GROUP:CO", date(1990, 1, 1), None, ())], ())
    )
    told = Prediction(outcome="denial", group_code="CO", carc="1")
    for first, last, wrong in (
        (date(2020, 1, 1), date(2020, 12, 31), []),
        (date(2019, 12, 31), date(2020, 12, 31), ["CARC 1"]),
        (date(2020, 1, 1), date(2021, 1, 1), ["CARC 1"]),
        (date(2020, 1, 1), None, ["CARC 1"]),
    ):
        assert inactive(known, told, EffectivePeriod(first, last)) == wrong
    pack = Path(shutil.copytree(PACKS / "example_commercial_ppo", tmp_path / "example_commercial_ppo"))
    rule = pack / "rules/filed-after-ninety-days/rule.yaml"
    own = "  findings:\n    tf.expired: {predicts: {outcome: denial, group_code: CO, carc: A2}}\n  parameters:\n"
    rule.write_text(rule.read_text().replace("  parameters:\n", own, 1))
    assert "PK024" in {issue.code for issue in check_predictions([read_pack(pack)], catalog(), TODAY)}


def test_the_answer_is_that_of_the_day_of_receipt_and_of_the_subject_where_one_is_given() -> None:
    blob = parse_table(
        CROSSWALK,
        [SourceFile("c.csv", (
            HEAD
            + "x,,denial,CO,15,,false,,true,false,2000-01-01,2022-10-31\n"
            + "x,,denial,CO,284,,false,,true,false,2022-11-01,\n"
            + "x,billing,rejection,CO,29,,false,A7:562,false,false,2000-01-01,\n"
        ).encode())],
        EVER,
    ).blob  # fmt: skip
    table = CodeTable(blob)

    def carc(day: date, qualifier: str = "") -> str | None:
        found = from_crosswalk(table, "x", qualifier, day.toordinal())
        return found and found.carc

    assert [carc(date(2022, 10, 31)), carc(date(2022, 11, 1)), carc(date(1999, 12, 31))] == ["15", "284", None]
    assert [carc(TODAY, "billing"), carc(TODAY, "rendering")] == ["29", "284"]


@pytest.mark.parametrize(
    "row",
    [
        "x,,denied,CO,29,,false,,true,false,2000-01-01,\n",
        "x,,denial,CO,16,,false,,true,false,2000-01-01,\n",
        "x,,denial,CO,29,N1,true,,true,false,2000-01-01,\n",
        "x,,denial,,29,,false,,true,false,2000-01-01,\n",
        "x,,denial,CO,18,,false,,true,false,2000-01-01,\n",
        "x,,denial,CO,29,,perhaps,,true,false,2000-01-01,\n",
        "x,,denial,CO,29,,false,,true,false,2000-01-02,2000-01-01\n",
    ],
)
def test_a_bad_row_of_the_crosswalk_is_refused_with_its_line(row: str) -> None:
    with pytest.raises(ReferenceFault) as refusal:
        parse_table(CROSSWALK, [SourceFile("c.csv", (HEAD + row).encode())], EVER)
    assert [issue.where for issue in refusal.value.issues] == ["c.csv:2"]


def test_an_alert_is_no_remark_code_that_a_denial_needs() -> None:
    text = "code,type,description,start,stop\n16,CARC,,1995-01-01,\nN1,RARC,Alert: you may appeal,2000-01-01,\nM51,RARC,Missing code,1997-01-01,\n"
    known = CodeTable(parse_table(REMITTANCE_CODES, [SourceFile("r.csv", text.encode())], EVER).blob)
    assert says_nothing(known, Prediction(outcome="denial", group_code="CO", carc="16", rarcs=("N1",)))
    assert not says_nothing(known, Prediction(outcome="denial", group_code="CO", carc="16", rarcs=("N1", "M51")))
    assert not says_nothing(known, Prediction(outcome="denial", group_code="CO", carc="29", rarcs=("N1",)))


def test_no_shipped_denial_rests_on_alerts_in_the_published_list() -> None:
    file = public("codesets/carc_rarc_group_codes_2024-06.csv")
    known = CodeTable(parse_table(REMITTANCE_CODES, [SourceFile(file.name, file.read_bytes())], EVER).blob)
    assert sum(entry.values == (1,) for entry in known) > 100
    assert [row.key for row in shipped_crosswalk(SAMPLES) if says_nothing(known, prediction_of(row))] == []
