#!/usr/bin/env python3
"""Verify an exported audit log offline: python3 verify_audit_log.py EXPORT.ndjson [CHECKPOINT.json ...]

EXPORT is the answer of GET /v1/audit/export, a CHECKPOINT one of GET /v1/audit/checkpoint that was kept earlier. The script shares
no code with the service. It needs nothing but Python; with the package `cryptography` it also verifies the checkpoints' signatures,
and without it says that it did not. Exit code 0: the log holds; 1: it does not, and the first fault is named.
"""

import base64
import hashlib
import json
import sys


def fail(message):
    """Name the first fault and leave."""
    print(f"BROKEN: {message}")
    sys.exit(1)


def read(path):
    """(events, the last line that counts them) of an export."""
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file if line.strip()]
    if not lines or "events" not in lines[-1]:
        fail("the export was cut: its last line, which counts the events, is missing")
    return lines[:-1], lines[-1]


def verify_chain(events, trailer):
    """Hash every event anew; the hashes by number."""
    hashes, last = {}, trailer["base_hash"]
    for place, event in enumerate(events, trailer["base_seq"] + 1):
        if event["seq"] != place or json.loads(event["body"])["seq"] != place:
            fail(f"event {place} is missing or out of its place")
        if event["prev_hash"] != last:
            fail(f"event {place} does not follow the one before it")
        last = hashlib.sha256(last.encode() + b"\n" + event["body"].encode()).hexdigest()
        if event["hash"] != last:
            fail(f"event {place} is not what its hash covers")
        hashes[place] = last
    if trailer["events"] != len(events) or trailer["head_hash"] != last:
        fail(f"the export ends at event {len(events)}, and its last line says {trailer['events']}")
    base = trailer["base_seq"], trailer["base_hash"]
    cuts = (json.loads(event["body"]) for event in events if "retention.audit_log_cut" in event["body"])
    told = {(one["details"]["base_seq"], one["details"]["base_hash"]) for one in cuts if one["action"] == "retention.audit_log_cut"}
    if base[0] and base not in told:
        fail(f"the log begins after event {base[0]}, and no event tells that retention cut it there")
    return hashes


def verify_checkpoint(path, hashes, base):
    """Hold the log to a checkpoint; whether its signature was verified too."""
    with open(path, encoding="utf-8") as file:
        kept = json.load(file)
    if kept["seq"] > base and hashes.get(kept["seq"]) != kept["hash"]:
        fail(f"event {kept['seq']} is missing or differs from the checkpoint in {path}")
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return False
    at = kept["at"].replace("Z", "+00:00")
    if "." not in at:
        at = at[:19] + ".000000" + at[19:]
    told = (kept["tenant_id"], kept["seq"], kept["hash"], kept["seal"], kept["seal_hash"], at)
    signed = "payer rules service checkpoint\n" + "".join(f"{one}\n" for one in told)
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(kept["public_key"])).verify(
            base64.b64decode(kept["signature"]), signed.encode()
        )
    except InvalidSignature:
        fail(f"the signature of the checkpoint in {path} is not its own")
    return True


def main(arguments):
    """Verify the export named first against the checkpoints named after it."""
    if not arguments:
        print(__doc__)
        return 2
    events, trailer = read(arguments[0])
    hashes = verify_chain(events, trailer)
    signed = [verify_checkpoint(path, hashes, trailer["base_seq"]) for path in arguments[1:]]
    print(f"{len(events)} events hold; {len(signed)} checkpoints, signatures verified of {sum(signed)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
