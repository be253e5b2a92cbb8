"""Notation: envelopes of the Notary Project (JWS and COSE), judged by a trust policy document and certificates.

Follows https://github.com/notaryproject/specifications, `signature-specification.md` (v1.1) and
`trust-store-trust-policy.md` (v1.1).
"""
