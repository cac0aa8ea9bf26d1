"""Which resource a reference leads to: contained in the claim, or another of its Bundle. Nothing is fetched."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from rules_service.claim.codec import StrictDecoder
from rules_service.formats.fhir import resources as r
from rules_service.primitives.errors import InvalidClaim, Issue

T = TypeVar("T", bound=r.Resource)
MAX_ENTRIES = 1_000
ORDERS = ("ServiceRequest", "DeviceRequest", "Appointment")


class _Kind(msgspec.Struct, frozen=True, rename="camel"):
    resource_type: str = ""
    id: str | None = None


_kind = StrictDecoder(_Kind, "FHIR resource")
_bundle = StrictDecoder(r.Bundle, "FHIR resource")
_decoders = {
    "Claim": StrictDecoder(r.Claim, "FHIR resource"),
    "Coverage": StrictDecoder(r.Coverage, "FHIR resource"),
    "ClaimResponse": StrictDecoder(r.ClaimResponse, "FHIR resource"),
    "Condition": StrictDecoder(r.Condition, "FHIR resource"),
    **{kind: StrictDecoder(r.Order, "FHIR resource") for kind in ORDERS},
}
_named = StrictDecoder(r.Named, "FHIR resource")
NAMED = frozenset({"Patient", "RelatedPerson", "Practitioner", "PractitionerRole", "Organization", "Location"})


class Pool:
    """Resources of a request, found by every name a reference may use."""

    def __init__(self) -> None:
        self._raw: dict[str, tuple[str, bytes]] = {}
        """By name: the resource's place in the body, and its text."""

    def add(self, place: str, raw: bytes, full_url: str | None = None) -> str:
        """Take a resource in; its type."""
        kind: _Kind = _decoded(place, raw, _kind)
        for name in (full_url, f"{kind.resource_type}/{kind.id}" if kind.id else None):
            if name:
                self._raw.setdefault(name, (place, raw))
        return kind.resource_type

    def add_bundle(self, place: str, bundle: r.Bundle) -> list[tuple[str, str, bytes]]:
        """Take every entry in; (type, place, text) of each. InvalidClaim for more than MAX_ENTRIES."""
        if len(bundle.entry) > MAX_ENTRIES:
            issue = Issue("fhir.too_many_entries", f"{place}.entry", f"A Bundle has at most {MAX_ENTRIES} entries here.", "Send fewer.")
            raise InvalidClaim("The Bundle is too large", [issue])
        found = []
        for number, entry in enumerate(bundle.entry):
            raw, at = bytes(entry.resource), f"{place}.entry[{number}].resource"
            if raw:
                found.append((self.add(at, raw, entry.full_url), at, raw))
        return found

    def add_contained(self, place: str, contained: tuple[msgspec.Raw, ...]) -> None:
        """Take contained resources in, each by its local name."""
        for number, raw in enumerate(contained):
            at = f"{place}.contained[{number}]"
            kind = _decoded(at, bytes(raw), _kind)
            if kind.id:
                self._raw[f"#{kind.id}"] = (at, bytes(raw))

    def find(self, reference: r.Reference | None, kind: type[T]) -> T | None:
        """The resource of a reference, when it is here and of that kind; None otherwise."""
        name = reference.reference if reference is not None else None
        if not name:
            return None
        place, raw = self._raw.get(name) or self._raw.get("/".join(name.split("/")[-2:])) or ("", b"")
        if not raw:
            return None
        found = _decoded(place, raw, _kind).resource_type
        decoder = _named if found in NAMED else _decoders.get(found)
        resource = _decoded(place, raw, decoder) if decoder is not None else None
        return resource if isinstance(resource, kind) else None


class Resources(Pool):
    """The claim of a body, where it stands, and what its references lead to."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        kind = _kind.decode(body)
        if kind.resource_type == "Bundle":
            claims = [(at, raw) for kind_, at, raw in self.add_bundle("Bundle", _bundle.decode(body)) if kind_ == "Claim"]
            if len(claims) != 1:
                issue = Issue("fhir.one_claim", "Bundle.entry", "The Bundle holds no Claim, or several.", "Send one Claim a request.")
                raise InvalidClaim("The body is not a claim", [issue])
            self.place, text = claims[0]
        elif kind.resource_type == "Claim":
            self.place, text = "Claim", body
        else:
            issue = Issue("fhir.resource_type", "resourceType", "The resource is neither a Claim nor a Bundle with one.", "Send a Claim.")
            raise InvalidClaim("The body is not a claim", [issue])
        self.claim: r.Claim = _decoded(self.place, text, _decoders["Claim"])
        self.add_contained(self.place, self.claim.contained)


def _decoded(place: str, text: bytes, decoder: StrictDecoder) -> Any:
    """A resource; the faults named by FHIRPath from its place on."""
    try:
        return decoder.decode(text)
    except InvalidClaim as error:
        issues = [Issue(one.code, expression(place, one.where), one.message, one.mend) for one in error.issues]
        raise InvalidClaim(error.title, issues) from None


def expression(place: str, pointer: str) -> str:
    """A JSON pointer inside a resource as FHIRPath: `/item/0/net` in Claim is `Claim.item[0].net`."""
    for step in pointer.split("/")[1:]:
        place += f"[{step}]" if step.isdigit() else f".{step}"
    return place
