"""Rows of a payer's list that hold for some claims only: network, specialty, units."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from rules_service.packs.samples import memory_edition
from rules_service.packs.tables import compile_table
from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.errors import PackFault
from tests.engine.test_unused_parameters import said

TABLE = "medicare_part_b/voluntary_authorizations"
COLUMNS = "code,effective_from,effective_through,requirement,networks,specialties,units_from"


def asked(row: str, line: dict[str, Any] | None = None, **payer: Any) -> set[str]:
    """Codes found, and what would have to be supplied where this row asks for authorization."""
    text = f"{COLUMNS}\nP6003,2020-01-01,,required,{row}\n"
    edition = memory_edition(TABLE, "test", compile_table("authorization_list", text, "list.csv"), EffectivePeriod(date(2020, 1, 1)))
    changes: dict[str, Any] = {"lines": [{"procedure_code": "P6003", **(line or {})}]}
    told = said("MCR-PA-002", {}, [edition], payer_fields=payer, **changes)
    found = {one.code for one in told.findings if one.rule_id == "MCR-PA-002"}
    return found | {one.supply or "" for one in told.not_evaluated if one.rule_id == "MCR-PA-002"}


@pytest.mark.parametrize(("network", "wanted"), [("nonpar", {"auth.missing"}), ("par", set()), (None, {"payer.network_status"})])
def test_a_row_of_a_network_holds_for_that_network(network: str | None, wanted: set[str]) -> None:
    assert asked("nonpar,,", **({"network_status": network} if network else {})) == wanted


@pytest.mark.parametrize(
    ("taxonomy", "wanted"),
    [("208600000X", {"auth.missing"}), ("2086S0102X", {"auth.missing"}), ("207Q00000X", set()), (None, {"service_lines.providers.rendering.taxonomy_code"})],
)  # fmt: skip
def test_a_row_of_a_specialty_holds_for_who_rendered_it(taxonomy: str | None, wanted: set[str]) -> None:
    rendering = {"npi": "1467560003", **({"taxonomy_code": taxonomy} if taxonomy else {})}
    assert asked(",2086,", {"providers": {"rendering": rendering}}) == wanted


@pytest.mark.parametrize(("units", "wanted"), [("4", set()), ("5", {"auth.missing"}), ("6", {"auth.missing"})])
def test_a_row_of_many_units_holds_from_so_many_on(units: str, wanted: set[str]) -> None:
    assert asked(",,5", {"unit_count": units}) == wanted


@pytest.mark.parametrize("row", ["out,,", ",,many", ",208-,"])
def test_a_cell_that_says_nothing_is_refused_with_its_line(row: str) -> None:
    with pytest.raises(PackFault) as error:
        compile_table("authorization_list", f"{COLUMNS}\nP6003,2020-01-01,,required,{row}\n", "list.csv")
    assert error.value.issues[0].where.startswith("list.csv:2")
