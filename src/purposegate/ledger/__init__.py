"""The tamper-evident log: its byte formats, stores, commit protocol, witness, verifying and searching.

The byte formats (merkle, note, checkpoint, tiles, cosignature, proof, policy, witness_wire, entry) are pure:
bytes in, values out, no clock and no I/O, so that a verifier can be built from them alone. What touches a
disk or the network stands in modules of its own and imports those.
"""
