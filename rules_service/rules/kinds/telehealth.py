"""`telehealth`: services at a distance, by date (domain.md 2.13).

A line is a telehealth service when its place is 02 or 10 or it carries a telehealth modifier. Which codes may be given so, by audio alone,
from which places, with which modifier, and whether at all, are parameters and tables with dates: the law behind them has lapsed and been
extended backwards more than once, so a change is a new version or window, never code.

The claim has no field that says where the patient was; the patient was at home where the service facility's address is the patient's.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from rules_service.claim.locations import Place
from rules_service.claim.parties import Provider
from rules_service.facts.values import FactValue
from rules_service.facts.view import LineView
from rules_service.primitives.codes import shown_code, spelled
from rules_service.primitives.unknown import Unknown
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs, fix

PLACES = frozenset({"02", "10"})


class TelehealthParameters(Parameters, frozen=True):
    """`codes` is a table of classes: `telehealth`, `audio_only` for what may be given by telephone, and `excluded` for codes an extract names
    as not covered; a code missing from a whole table is not covered either. `covered: false` while the law has lapsed. `modifiers_any_of` are asked for where the place alone does not say it. `telehealth_modifiers` make a line telehealth whatever its
    place, `audio_modifiers` say that it was given by audio alone. `origins` is a table of the ZIP codes (five digits, class `origin`) where the
    patient must be, while the payer asks for that."""

    codes: str
    covered: bool = True
    places: tuple[str, ...] = ("02", "10")
    modifiers_any_of: tuple[str, ...] = ()
    audio_modifiers_any_of: tuple[str, ...] = ("93",)
    refused_modifiers: tuple[str, ...] = ()
    telehealth_modifiers: tuple[str, ...] = ("93", "95", "GT", "GQ", "FQ")
    audio_modifiers: tuple[str, ...] = ("93", "FQ")
    origins: str | None = None


class TelehealthKind(RuleKind[TelehealthParameters]):
    """One candidate a telehealth line."""

    name = "telehealth"
    semantics = 4  # areas of origin; class excluded; an extract says nothing of other codes; modifiers are the rule's
    title = "Telehealth by date"
    levels = ("line",)
    claim_types = frozenset({"professional"})
    judges_void = False
    parameters = TelehealthParameters
    specs = fact_specs(
        ("telehealth.code_listed", "flag", "The code may be given by telehealth on the date; unknown without the list."),
        ("telehealth.audio", "flag", "The line says that it was given by audio alone."),
        ("telehealth.audio_listed", "flag", "The code may be given by audio alone on the date."),
        ("telehealth.modifier_present", "flag", "A modifier the payer asks for is there; absent when it asks for none."),
        ("telehealth.place_accepted", "flag", "The place of service is one the payer takes for telehealth."),
        ("telehealth.refused_modifier", "text", "A modifier the payer does not take (any more)."),
        (
            "telehealth.origin_listed",
            "flag",
            "The patient was in one of the areas the payer lists; absent when it lists none, unknown without a ZIP code.",
        ),
        ("telehealth.at_home_as_02", "flag", "The patient was at home, and the place is 02."),
    )

    def table_names(self, parameters: TelehealthParameters) -> tuple[str, ...]:
        return (parameters.codes, *filter(None, (parameters.origins,)))

    def branches(self, parameters: TelehealthParameters) -> tuple[Branch, ...]:
        line = "Line {line_number} {code}: "
        listed = Branch(
            code="telehealth.not_covered",
            title="Telehealth is not covered",
            at="line.place_of_service_code",
            severity="deny_soft",
            category="payer_specific",
            when={"fact": "telehealth.code_listed", "is": "false"}
            if parameters.covered
            else {"fact": "telehealth.place_accepted", "present": "true"},
            message=line
            + (
                "the payer does not list the code for telehealth on this date."
                if parameters.covered
                else "the payer covers no telehealth on this date."
            ),
            fixes=(
                fix(
                    "Bill the service by a code and place that the payer covers by telehealth, as the record supports",
                    "needs_documentation",
                ),
            ),
            override_reasons=("payer_confirmed",),
        )
        origin = Branch(
            code="telehealth.origin",
            title="Patient outside the areas the payer covers telehealth in",
            at="line.place_of_service_code",
            severity="deny_soft",
            category="payer_specific",
            when={"fact": "telehealth.origin_listed", "is": "false"},
            message=line + "the payer covers telehealth only where the patient is in an area it lists.",
            fixes=(fix("Correct the address if the patient was elsewhere; otherwise the payer does not cover the visit", "not_fixable"),),
            override_reasons=("payer_confirmed",),
        )
        return (
            listed,
            Branch(
                code="telehealth.audio_not_covered",
                title="Audio alone is not covered for the code",
                at="line.modifiers",
                severity="deny_soft",
                category="payer_specific",
                when={"all": [{"fact": "telehealth.audio", "is": "true"}, {"fact": "telehealth.audio_listed", "is": "false"}]},
                message=line + "the payer does not cover the code by audio alone on this date.",
                fixes=(fix("Correct the modifier if there was video", "needs_documentation"),),
            ),
            Branch(
                code="telehealth.place",
                title="Place of service the payer does not take for telehealth",
                at="line.place_of_service_code",
                severity="deny_soft",
                category="payer_specific",
                when={"fact": "telehealth.place_accepted", "is": "false"},
                message=line + "the payer does not take place of service {place} for telehealth; it takes {places}.",
                fixes=(fix("Use 10 for a patient at home, 02 for one elsewhere"),),
                next_action="correct_claim",
            ),
            *(() if parameters.origins is None else (origin,)),
            Branch(
                code="telehealth.pos_mod",
                title="Telehealth modifier is missing or not taken",
                at="line.modifiers",
                severity="deny_soft",
                category="payer_specific",
                when={
                    "any": [
                        {"fact": "telehealth.modifier_present", "is": "false"},
                        {"fact": "telehealth.refused_modifier", "present": "true"},
                    ]
                },
                message=line + "the payer asks for one of the modifiers {modifiers} on telehealth of this kind.",
                fixes=(fix("Add the modifier that says how the service was given", "needs_documentation"),),
                next_action="correct_claim",
            ),
            Branch(
                code="telehealth.home_as_02",
                title="Patient at home, billed as elsewhere",
                at="line.place_of_service_code",
                severity="warn",
                confidence="likely",
                category="payer_specific",
                when={"fact": "telehealth.at_home_as_02", "is": "true"},
                message=line + "the service facility's address is the patient's: at home the place of service is 10, not 02.",
                fixes=(fix("Use place of service 10 if the patient was at home"),),
                next_action="correct_claim",
            ),
        )

    def derive(self, parameters: TelehealthParameters, judged: Judged) -> Iterator[Candidate]:
        for line in judged.lines:
            modifiers = set(line.modifiers)
            if (
                line.code is None
                or line.date_from is None
                or not (line.place_of_service in PLACES or modifiers.intersection(parameters.telehealth_modifiers))
            ):
                continue
            table = judged.lookups.codes(parameters.codes, line.date_from, of=line.code)
            listed: FactValue
            audio_listed: FactValue
            if isinstance(table, Unknown):
                listed = audio_listed = table
            else:
                day = line.date_from.toordinal()
                classes = table.texts_on(line.code, "class", day)
                listed, audio_listed = bool(classes - {"excluded"}), "audio_only" in classes
            audio = not modifiers.isdisjoint(parameters.audio_modifiers)
            wanted = parameters.audio_modifiers_any_of if audio else parameters.modifiers_any_of
            yield Candidate(
                lines=(line,),
                facts={
                    "telehealth.code_listed": listed,
                    "telehealth.audio": audio,
                    "telehealth.audio_listed": audio_listed,
                    "telehealth.modifier_present": bool(modifiers & set(wanted)) if wanted else None,
                    "telehealth.place_accepted": line.place_of_service in parameters.places,
                    "telehealth.refused_modifier": next((one for one in line.modifiers if one in parameters.refused_modifiers), None),
                    "telehealth.origin_listed": _origin_listed(parameters, judged, line),
                    "telehealth.at_home_as_02": line.place_of_service == "02" and _at_home(line),
                },
                place=Place("line.modifiers", line.index, line.number),
                tell=partial(
                    Telling,
                    params={
                        "line_number": str(line.number),
                        "code": line.code,
                        "place": line.place_of_service or "(none)",
                        "places": ", ".join(parameters.places),
                        "modifiers": ", ".join(wanted) or "(none)",
                    },
                    expected={"places_of_service": list(parameters.places), "modifiers_any_of": list(wanted)},
                    actual={"modifiers": list(map(shown_code, line.modifiers))},
                ),
            )


def _origin_listed(parameters: TelehealthParameters, judged: Judged, line: LineView) -> FactValue:
    """Whether the payer lists the area of the patient's home, or of the facility where the patient was."""
    if parameters.origins is None or line.date_from is None:
        return None
    where = line.claim.patient or line.claim.subscriber if line.place_of_service == "10" else _facility(line)
    code = (where.address.zip or "")[:5] if where is not None and where.address is not None else ""
    if not code:
        return Unknown("context_not_supplied", "subscriber.address.zip" if line.place_of_service == "10" else "providers.service_facility")
    table = judged.lookups.codes(parameters.origins, line.date_from, of=code)
    return table if isinstance(table, Unknown) else "origin" in table.texts_on(code, "class", line.date_from.toordinal())


def _facility(line: LineView) -> Provider | None:
    return line.own_provider("service_facility") or line.claim.providers.service_facility


def _at_home(line: LineView) -> bool:
    facility = _facility(line)
    person = line.claim.patient or line.claim.subscriber
    if facility is None or facility.address is None or person.address is None or not person.address.line1:
        return False
    return (
        spelled(facility.address.line1 or "") == spelled(person.address.line1)
        and (facility.address.zip or "")[:5] == (person.address.zip or "")[:5]
    )
