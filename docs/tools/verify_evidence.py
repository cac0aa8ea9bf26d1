#!/usr/bin/env python3
"""Verify an evidence file offline: python3 verify_evidence.py EVALUATION.zip [CHECKPOINT.json]

EVALUATION.zip is the answer of GET /v1/evaluations/{id}/evidence, CHECKPOINT one of GET /v1/audit/checkpoint. The script shares no code
with the service. It holds every document to the manifest, the evaluation to its leaf, the leaf to the root of its seal (RFC 6962), the
seal to its hash, and, with the package `cryptography`, the seal to its signature. A checkpoint kept of the same seal is compared with it.
Exit code 0: the evidence holds; 1: it does not, and the first fault is named.
"""

import base64
import hashlib
import json
import sys
import zipfile


def fail(message):
    """Name the first fault and leave."""
    print(f"BROKEN: {message}")
    sys.exit(1)


def read(path):
    """The documents of the file, each held to the manifest."""
    with zipfile.ZipFile(path) as archive:
        documents = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(documents.pop("manifest.json"))
    if manifest["sha256"] != {name: hashlib.sha256(body).hexdigest() for name, body in documents.items()}:
        fail("a document is not the one the manifest names")
    return {name: json.loads(body) for name, body in documents.items()}, documents


def root_from(leaf, position, count, path):
    """The root a leaf and its audit path lead to."""
    last = count - 1
    for step in path:
        if last == 0:
            fail("the audit path is too long")
        if position % 2 or position == last:
            leaf = hashlib.sha256(b"\x01" + step + leaf).digest()
            while position % 2 == 0 and position:
                position, last = position // 2, last // 2
        else:
            leaf = hashlib.sha256(b"\x01" + leaf + step).digest()
        position, last = position // 2, last // 2
    if last:
        fail("the audit path is too short")
    return leaf


def verify_leaf(documents, texts, proof):
    """The evaluation is the one its leaf covers; the leaf leads to the seal's root."""
    told = json.loads(proof["leaf"])
    evaluation = documents["evaluation.json"]
    # The evaluation is stored without the control number, in whose place an empty text stands.
    stored = texts["evaluation.json"].replace(b'"patient_control_number":null', b'"patient_control_number":""', 1)
    if told["evaluation_id"] != evaluation["evaluation_id"] or told["body_sha256"] != hashlib.sha256(stored).hexdigest():
        fail("the evaluation is not the one that was sealed")
    if told["input_sha256"] != evaluation["pins"]["input_sha256"]:
        fail("the claim's hash is not the one that was sealed")
    leaf = hashlib.sha256(b"\x00" + proof["leaf"].encode()).digest()
    path = [bytes.fromhex(step) for step in proof["audit_path"]]
    if leaf.hex() != proof["leaf_hash"] or root_from(leaf, proof["position"], proof["seal"]["leaves"], path).hex() != proof["seal"]["root"]:
        fail("the leaf does not lead to the root of the seal")


def canonical_hash(value):
    """The service's content hash: keys in order, no spaces, characters as they are."""
    return hashlib.sha256(json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def verify_pins(documents):
    """Publications, rules and editions are those the sealed evaluation pins; approvals are of that content."""
    evaluation = documents["evaluation.json"]
    if documents["reference_tables.json"] != evaluation["pins"]["reference_tables"]:
        fail("the reference tables are not those the evaluation pins")
    for pin in evaluation["pins"]["publications"]:
        name = f"publications/{pin['rule_set_id']}-{pin['number']}"
        publication = documents[f"{name}/publication.json"]
        if (publication["sha256"], canonical_hash(publication["manifest"])) != (pin["sha256"], pin["sha256"]):
            fail(f"{name} is not the publication the evaluation pins")
        windows = {window["sha256"] for window in publication["manifest"]["windows"]}
        for rule in documents[f"{name}/rules.json"]:
            if rule["window"]["sha256"] not in windows or canonical_hash(rule["content"]) != rule["window"]["sha256"]:
                fail(f"a rule of {name} is not the one its publication holds")
        approvals = documents[f"{name}/approvals.json"]
        request = approvals["change_request"]
        if request is not None:
            if request["content_sha256"] != publication["source_sha256"]:
                fail(f"the approvals of {name} are of another content")
            told = [json.loads(event["body"]) for event in approvals["audit_events"]]
            for review in approvals["reviews"]:
                said = {"verdict": review["verdict"], "content_sha256": review["content_sha256"], "review_cycle": review["review_cycle"]}
                if not any(one["actor"] == review["reviewer"] and said.items() <= one["details"].items() for one in told):
                    fail(f"no audit event of {name} tells of the review by {review['reviewer']}")
            for event in approvals["audit_events"]:
                if hashlib.sha256(event["prev_hash"].encode() + b"\n" + event["body"].encode()).hexdigest() != event["hash"]:
                    fail(f"audit event {event['seq']} is not what its hash covers")


def verify_seal(seal):
    """The seal's hash covers its content; whether its signature was verified too."""
    at = seal["sealed_at"].replace("Z", "+00:00")
    if "." not in at:
        at = at[:19] + ".000000" + at[19:]
    told = {"leaves": seal["leaves"], "number": seal["number"], "root": seal["root"], "sealed_at": at}
    covered = json.dumps(told, separators=(",", ":"), sort_keys=True)
    if hashlib.sha256(f"{seal['prev_hash']}\n{covered}".encode()).hexdigest() != seal["hash"]:
        fail("the seal is not what its hash covers")
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(seal["public_key"]))
        key.verify(base64.b64decode(seal["signature"]), seal["hash"].encode())
    except InvalidSignature:
        fail("the signature of the seal is not its own")
    return True


def main(arguments):
    """Verify the evidence named first against the checkpoint named after it."""
    if not arguments:
        print(__doc__)
        return 2
    documents, texts = read(arguments[0])
    proof = documents["seal.json"]
    if proof is None:
        fail("the evaluation was not sealed yet when this file was made")
    verify_leaf(documents, texts, proof)
    verify_pins(documents)
    is_signed = verify_seal(proof["seal"])
    if len(arguments) > 1:
        with open(arguments[1], encoding="utf-8") as file:
            kept = json.load(file)
        if kept["public_key"] != proof["seal"]["public_key"]:
            fail("the seal was signed with another key than the checkpoint")
        if kept["seal"] == proof["seal"]["number"] and kept["seal_hash"] != proof["seal"]["hash"]:
            fail("the seal differs from the one in the checkpoint")
        if kept["seal"] < proof["seal"]["number"]:
            fail("the checkpoint is older than the seal: it says nothing of it")
    print(f"{documents['evaluation.json']['evaluation_id']} holds in seal {proof['seal']['number']}, signature verified: {is_signed}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
