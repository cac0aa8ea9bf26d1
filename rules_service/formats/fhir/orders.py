"""A CDS Hooks 2.0 call as a check of planned services: draft orders or appointments of the context, patient and policy of the prefetch.

What is not there is not guessed: an order without a CPT or HCPCS code is passed over, and a call without a policy or payer makes no check.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import msgspec

from rules_service.claim.codec import StrictDecoder
from rules_service.claim.parties import ClaimProviders, Payer, Person, Provider
from rules_service.claim.service_check import PlannedService, ServiceCheck
from rules_service.formats.fhir import resources as r
from rules_service.formats.fhir.parties import Parties
from rules_service.formats.fhir.references import ORDERS, Pool, decoded, type_and_id
from rules_service.formats.fhir.values import DIAGNOSES, PROCEDURES, Faults, code_in, codes_of, payer_identifier
from rules_service.primitives.errors import InvalidClaim, Issue
from rules_service.primitives.money import Quantity

PLACES = (
    "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set",
    "https://www.cms.gov/Medicare/Coding/place-of-service-codes",
)
HOOKS = ("order-sign", "order-select", "appointment-book")
MAX_ORDERS = 50
MAX_POLICIES = 10
"""Policies an order names that are looked at."""


class HookContext(msgspec.Struct, frozen=True, rename="camel"):
    """What of a hook's context is read."""

    patient_id: str
    draft_orders: r.Bundle | None = None
    selections: tuple[str, ...] | None = None
    appointments: r.Bundle | None = None


class HookCall(msgspec.Struct, frozen=True, rename="camel"):
    """The body of a call (CDS Hooks 2.0); what else it holds is passed over."""

    hook: str
    hook_instance: str
    context: HookContext
    prefetch: dict[str, msgspec.Raw] | None = None


@dataclass(frozen=True, slots=True)
class HookCheck:
    """A check, and of each of its services the order it is of: a FHIR reference, or kind and position of one without an id."""

    check: ServiceCheck
    patient: str
    orders: tuple[str, ...]


_call = StrictDecoder(HookCall, "CDS Hooks call")
_resource = msgspec.json.Decoder(r.Resource)
_bundle = msgspec.json.Decoder(r.Bundle)
_order = StrictDecoder(r.Order, "FHIR resource")
_coverage = StrictDecoder(r.Coverage, "FHIR resource")


def read_call(body: bytes, hook: str) -> HookCall:
    """The call of a hook; InvalidClaim when it is one of another."""
    call: HookCall = _call.decode(body)
    if call.hook != hook:
        raise InvalidClaim(
            "The call is of another hook", [Issue("cds.hook", "/hook", "This service answers another hook.", f"Send {hook}.")]
        )
    return call


def hook_checks(call: HookCall, today: date) -> list[HookCheck]:
    """The checks a call asks for, one a policy; none when it does not say enough. InvalidClaim for a resource that cannot be read."""
    pool = Pool()
    ordered = call.context.draft_orders or call.context.appointments or r.Bundle(resource_type="Bundle")
    listed = [one for one in pool.add_bundle("context", ordered) if one[0] in ORDERS]
    policies: list[r.Coverage] = [
        decoded("prefetch", raw, _coverage) for kind, raw in _prefetched(pool, call.prefetch or {}) if kind == "Coverage"
    ]
    orders = [
        (f"{kind}/{found.id}" if found.id else f"{kind} {number}", found)
        for number, (kind, at, raw) in enumerate(listed, start=1)
        if (found := decoded(at, raw, _order))
    ]
    patient = call.context.patient_id.rpartition("/")[2]
    orders = [one for one in orders if _is_of(one[1], patient)]
    if call.hook == "order-select":
        chosen = {type_and_id(name) for name in call.context.selections or ()}
        orders = [one for one in orders if one[0] in chosen or one[1].id in chosen]
    by_policy: dict[int, tuple[r.Coverage, list[tuple[str, r.Order, PlannedService]]]] = {}
    for name, order in orders[:MAX_ORDERS]:
        named = next((found for one in order.insurance[:MAX_POLICIES] if (found := pool.find(one, r.Coverage)) is not None), None)
        service = _service(pool, order, today)
        if service is None or (order.insurance and named is None):  # a policy it names and that is not here is not another one
            continue
        in_force = [one for one in ([named] if named is not None else policies) if _is_in_force(one, service.service_date or today)]
        coverage = min(in_force, key=lambda one: one.order or 1, default=None)
        if coverage is not None:
            by_policy.setdefault(id(coverage), (coverage, []))[1].append((name, order, service))
    checks = [_check(pool, call, coverage, planned, today) for coverage, planned in by_policy.values()]
    return [one for one in checks if one is not None]


def _is_of(order: r.Order, patient: str) -> bool:
    """Whether an order or appointment may be the patient's: it names no other one."""
    actors = [one.actor.reference or "" for one in order.participant if one.actor is not None]
    named = [one for one in actors if "Patient" in one.split("/")]
    if order.subject is not None and order.subject.reference is not None:
        named.append(order.subject.reference)
    return not named or patient in [one.rpartition("/")[2] for one in named]


def _is_in_force(coverage: r.Coverage, day: date) -> bool:
    """Whether a policy may count on a day: it is active as far as it says, and its period holds the day as far as that can be read."""
    faults = Faults()
    period = coverage.period or r.Period()
    first, last = faults.day("start", period.start), faults.day("end", period.end)
    return coverage.status in (None, "active") and not (first and day < first) and not (last and last < day)


def _check(
    pool: Pool, call: HookCall, coverage: r.Coverage, planned: list[tuple[str, r.Order, PlannedService]], today: date
) -> HookCheck | None:
    payer = _payer(pool, coverage)
    if payer is None:
        return None
    named = f"Patient/{call.context.patient_id.rpartition('/')[2]}"
    reference = r.Reference(reference=named)
    faults = Faults()
    parties = Parties(pool, faults)
    subscriber, relationship = parties.insured("coverage", coverage, reference)
    if any(one.code == "fhir.coverage" for one in faults.found):
        return None  # another person's policy says nothing of this patient
    patient = Person(**parties.person("context.patientId", reference), relationship_code=relationship) if relationship != "18" else None
    check = ServiceCheck(
        payer=payer, services=tuple(service for _, _, service in planned), service_date=today, subscriber=subscriber, patient=patient,
        providers=_providers(parties, pool, [order for _, order, _ in planned]),
    )  # fmt: skip
    return HookCheck(check, named, tuple(name for name, _, _ in planned))


def _prefetched(pool: Pool, prefetch: dict[str, msgspec.Raw]) -> list[tuple[str, bytes]]:
    """Every resource of the prefetch, also those inside Bundles."""
    found: list[tuple[str, bytes]] = []
    for number, value in enumerate(prefetch.values()):
        raw, place = bytes(value), f"prefetch[{number}]"
        try:
            kind = _resource.decode(raw).resource_type
            bundle = _bundle.decode(raw) if kind == "Bundle" else None
        except msgspec.DecodeError:
            continue  # null, or no resource: the EHR had nothing for this key
        if bundle is not None:
            found += [(inner, text) for inner, _, text in pool.add_bundle(place, bundle)]
        else:
            found.append(pool.add(place, raw))
    return found


def _payer(pool: Pool, coverage: r.Coverage) -> Payer | None:
    """The policy's payer by identifier, or by its name; None when it says neither."""
    reference = coverage.payor[0] if coverage.payor else None
    if reference is None:
        return None
    found = pool.find(reference, r.Named)
    value = payer_identifier(
        (*(found.identifier if found is not None else ()), *((reference.identifier,) if reference.identifier is not None else ()))
    )
    name = found.name if found is not None and isinstance(found.name, str) else reference.display
    plans = [one.value for one in coverage.class_ if "plan" in codes_of(one.type)]
    return Payer(payer_id=value or "", name=name, plan_id=next(iter(plans), None)) if value or name else None


def _service(pool: Pool, order: r.Order, today: date) -> PlannedService | None:
    concepts = (order.code, order.code_codeable_concept, *order.service_type)
    code = next((found for one in concepts if (found := code_in(one, PROCEDURES))), None)
    if (
        code is None
        or bytes(order.occurrence_timing)
        or order.do_not_perform
        or order.status in ("revoked", "entered-in-error", "completed", "cancelled")
    ):
        return None
    faults = Faults()
    period = order.occurrence_period.start if order.occurrence_period is not None else None
    day = faults.day("occurrence", order.occurrence_date_time or period or order.start)
    reasons = [found for one in order.reason_code if (found := code_in(one, DIAGNOSES))]
    conditions = [condition.code for one in order.reason_reference if (condition := pool.find(one, r.Condition)) is not None]
    reasons += [found for one in conditions if (found := code_in(one, DIAGNOSES))]
    units = faults.quantity("quantity", order.quantity_quantity.value if order.quantity_quantity is not None else None)
    if faults.found:
        return None  # a day or quantity that cannot be read is not guessed
    return PlannedService(
        procedure_code=code, unit_count=units or Quantity(1000), service_date=day or today, diagnosis_codes=tuple(dict.fromkeys(reasons)),
        place_of_service_code=next((found for one in order.location_code if (found := code_in(one, PLACES))), None),
    )  # fmt: skip


def _providers(parties: Parties, pool: Pool, orders: list[r.Order]) -> ClaimProviders | None:
    """Who would render the service and who ordered it, when they are here."""
    told: dict[str, Provider] = {}
    for order in orders:
        performers = order.performer if isinstance(order.performer, tuple) else (order.performer,)
        for role, reference in (("rendering", next(iter(performers), None)), ("referring", order.requester)):
            if reference is not None and pool.find(reference, r.Named) is not None and role not in told:
                provider = parties.provider(role, reference)
                if provider is not None:
                    told[role] = provider
    if not told:
        return None
    return ClaimProviders(billing=told.get("rendering") or Provider(), **told)
