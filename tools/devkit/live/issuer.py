"""An OpenID Connect issuer (OpenID Connect Discovery 1.0, section 4): says who somebody is, to whoever asks here.

It logs nobody in: `token` signs what it is told, as the login of a test does. Fulcio fetches the discovery document
and the key set and verifies the tokens with them.
"""

from __future__ import annotations

import base64
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from devkit.live.loopback import NOT_FOUND, Answer, Loopback
from devkit.signer import to_json

AUDIENCE = "sigstore"
_KEY_ID = "devkit"
_GOOD_FOR = 600  # seconds


class Issuer(Loopback):
    """The issuer at `url`, while the context lasts. ES256 (RFC 7518, section 3.4)."""

    def __init__(self) -> None:
        super().__init__()
        self._key = ec.generate_private_key(ec.SECP256R1())

    def token(self, subject: str, **claims: object) -> str:
        """An ID token for the subject, good for ten minutes, with more claims if wanted."""
        now = int(time.time())
        header = {"alg": "ES256", "kid": _KEY_ID, "typ": "JWT"}
        body = {"iss": self.url, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + _GOOD_FOR, **claims}
        signed = f"{_encode(to_json(header))}.{_encode(to_json(body))}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def email_token(self, address: str) -> str:
        """The ID token of a person, as Fulcio wants it for issuers of type `email`."""
        return self.token(address, email=address, email_verified=True)

    def answer(self, method: str, path: str, _: bytes, /) -> Answer:
        if (method, path) == ("GET", "/.well-known/openid-configuration"):
            return Answer(
                200,
                {
                    "issuer": self.url,
                    "authorization_endpoint": f"{self.url}/auth",
                    "token_endpoint": f"{self.url}/token",
                    "jwks_uri": f"{self.url}/keys",
                    "response_types_supported": ["id_token"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["ES256"],
                },
            )
        if (method, path) == ("GET", "/keys"):
            point = self._key.public_key().public_numbers()
            key = {
                "kty": "EC",
                "crv": "P-256",
                "alg": "ES256",
                "use": "sig",
                "kid": _KEY_ID,
                "x": _encode(point.x.to_bytes(32, "big")),
                "y": _encode(point.y.to_bytes(32, "big")),
            }
            return Answer(200, {"keys": [key]})
        return NOT_FOUND


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
