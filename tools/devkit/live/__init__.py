"""A private Sigstore of real parts: Fulcio, Rekor v2 and a timestamp authority, with what they need around them.

`devkit.offline` makes the same kinds of signatures without any of them; here the real cosign asks the real services.
"""
