"""Which resource a reference leads to: contained in the claim, or another of its Bundle. Nothing is fetched."""

from __future__ import annotations

import re
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

    @property
    def name(self) -> str | None:
        """`Patient/p1`; None without an id."""
        return f"{self.resource_type}/{self.id}" if self.id else None


class _Holder(msgspec.Struct, frozen=True):
    contained: tuple[msgspec.Raw, ...] = ()


_holder = StrictDecoder(_Holder, "FHIR resource")
_LOCAL = re.compile(rb'("reference"\s*:\s*")#')
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


def _current(reference: str | None) -> str:
    """A reference without the version it may name."""
    return (reference or "").partition("/_history/")[0]


def _is_same(one: bytes, other: bytes) -> bool:
    """Whether two texts say the same."""
    return one == other or msgspec.json.decode(one) == msgspec.json.decode(other)


def type_and_id(reference: str | None) -> str:
    """`Patient/p1` of a reference, whatever server it names."""
    return "/".join(_current(reference).split("/")[-2:])


class Pool:
    """Resources of a request, found by every name a reference may use.

    Local references (`#id`) are made whole when their resource is taken in, so that each resource has contained ones of its own.
    """

    def __init__(self) -> None:
        self._raw: dict[str, tuple[str, bytes]] = {}
        """By name: the resource's place in the body, and its text."""
        self._unlocated: dict[str, tuple[str, bytes]] = {}
        """By type and id: those that came without an address, to which an absolute reference may lead."""
        self._decoded: dict[str, r.Resource | None] = {}

    def add(self, place: str, raw: bytes) -> tuple[str, bytes]:
        """Take a resource in; its type, and its text with whole references."""
        kind, text = self._take(place, raw, None)
        return kind.resource_type, text

    def _take(self, place: str, raw: bytes, full_url: str | None) -> tuple[_Kind, bytes]:
        if b'"contained"' in raw:
            raw = _LOCAL.sub(rb"\1" + place.encode() + b"#", raw)
            for number, one in enumerate(decoded(place, raw, _holder).contained):
                at = f"{place}.contained[{number}]"
                inner: _Kind = decoded(at, bytes(one), _kind)
                if inner.id:
                    self._raw[f"{place}#{inner.id}"] = (at, bytes(one))
        kind: _Kind = decoded(place, raw, _kind)
        name = kind.name
        for known in (full_url, name):
            if known:
                self._raw.setdefault(known, (place, raw))
        if name and not full_url:
            self._unlocated.setdefault(name, (place, raw))
        return kind, raw

    def add_bundle(self, place: str, bundle: r.Bundle) -> list[tuple[str, str, bytes]]:
        """Take every entry in; (type, place, text) of each. InvalidClaim for more than MAX_ENTRIES, and where a reference could mean either of two."""
        if len(bundle.entry) > MAX_ENTRIES:
            issue = Issue("fhir.too_many_entries", f"{place}.entry", f"A Bundle has at most {MAX_ENTRIES} entries here.", "Send fewer.")
            raise InvalidClaim("The Bundle is too large", [issue])
        found: list[tuple[str, str, bytes]] = []
        named: dict[str, bytes] = {}
        for number, entry in enumerate(bundle.entry):
            at, sent = f"{place}.entry[{number}].resource", bytes(entry.resource)
            if sent:
                kind, raw = self._take(at, sent, entry.full_url)
                for name in (entry.full_url, kind.name):
                    if name and not _is_same(named.setdefault(name, sent), sent):
                        message = "Another resource of the Bundle has this type and id, or this address: a reference could mean either."
                        raise InvalidClaim(
                            "The Bundle is ambiguous", [Issue("fhir.reference", f"{at}.id", message, "Send one of the two.")]
                        )
                found.append((kind.resource_type, at, raw))
        return found

    def find(self, reference: r.Reference | None, kind: type[T]) -> T | None:
        """The resource of a reference, when it is here and of that kind; None otherwise."""
        name = _current(reference.reference) if reference is not None else ""
        if not name:
            return None
        if name not in self._decoded:
            self._decoded[name] = self._find(name)
        resource = self._decoded[name]
        return resource if isinstance(resource, kind) else None

    def _find(self, name: str) -> r.Resource | None:
        place, raw = self._raw.get(name) or ("", b"")
        if not raw and "://" in name:
            place, raw = self._unlocated.get(type_and_id(name)) or ("", b"")
        if not raw:
            return None
        found = decoded(place, raw, _kind).resource_type
        decoder = _named if found in NAMED else _decoders.get(found)
        return decoded(place, raw, decoder) if decoder is not None else None


class Resources(Pool):
    """The claim of a body, where it stands, and what its references lead to."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        kind = _kind.decode(body)
        if kind.resource_type == "Bundle":
            claims = [(at, raw) for kind_, at, raw in self.add_bundle("Bundle", decoded("Bundle", body, _bundle)) if kind_ == "Claim"]
            if len(claims) != 1:
                issue = Issue("fhir.one_claim", "Bundle.entry", "The Bundle holds no Claim, or several.", "Send one Claim a request.")
                raise InvalidClaim("The body is not a claim", [issue])
            self.place, text = claims[0]
        elif kind.resource_type == "Claim":
            self.place = "Claim"
            _, text = self.add(self.place, body)
        else:
            issue = Issue("fhir.resource_type", "resourceType", "The resource is neither a Claim nor a Bundle with one.", "Send a Claim.")
            raise InvalidClaim("The body is not a claim", [issue])
        self.claim: r.Claim = decoded(self.place, text, _decoders["Claim"])


def decoded(place: str, text: bytes, decoder: StrictDecoder) -> Any:
    """A resource; the faults named by FHIRPath from its place on."""
    try:
        return decoder.decode(text)
    except InvalidClaim as error:
        raise InvalidClaim(error.title, [_located(place, one) for one in error.issues]) from None


def _located(place: str, issue: Issue) -> Issue:
    where = expression(place, issue.where)
    if where.rpartition(".")[2] in ("modifierExtension", "implicitRules"):
        return Issue(
            "fhir.modifier", where, "It may change what the rest means, and is not understood here.", "Send what holds without it."
        )
    return Issue(issue.code, where, issue.message, issue.mend)


def expression(place: str, pointer: str) -> str:
    """A JSON pointer inside a resource as FHIRPath: `/item/0/net` in Claim is `Claim.item[0].net`."""
    for step in pointer.split("/")[1:]:
        place += f"[{step}]" if step.isdigit() else f".{step}"
    return place
