"""How the operator is set up: flags and environment → one frozen dataclass (flux-compat G8)."""

from ocisource.settings.flags import FLAGS, IGNORED_PREFIXES
from ocisource.settings.reading import Settings, SettingsError, advertised_address, parse_settings, usage
from ocisource.settings.values import Address

__all__ = [
    "FLAGS",
    "IGNORED_PREFIXES",
    "Address",
    "Settings",
    "SettingsError",
    "advertised_address",
    "parse_settings",
    "usage",
]
