"""Mutation testing of the trust room: every small change to its code must make a test fail.

The changes are those of cosmic-ray (https://cosmic-ray.readthedocs.io), and a few of the kind that matters most where
checks are made one after the other: a statement that is gone, a condition or a part of one that does not count. Each is
tried on the tests of `tests/unit/trust` that run the changed line, those of the module's own file first. What survives
is printed as a difference.

No file is touched, and little is done twice: a change within a function goes into the living function, in a fork of a
process that has collected the tests; any other one is imported, in a fork of a process that has only imported what is
not ours.

    make mutants                                    all of it, about twenty minutes on one core
    make mutants MODULES="keyless proofs"           some of it
"""
