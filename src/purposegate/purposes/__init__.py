"""Which policing purposes may be declared, how, and whether a declaration's reason says anything.

In this room: the catalogue (purposes.yaml), the declaration's wire form (RFC 9651), the quality of reasons, and
the list a principal is offered. Everything here is pure once the catalogue is loaded: no clock, network or store.
Whether a declared purpose is *true* is for facts, and whether it suffices is for policies.
"""
