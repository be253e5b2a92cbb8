"""One schema, written out twice since YAML has no way to say it once that every tool reads (flux-compat A2, J1)."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from ocisource.domain import source

CRD: dict[str, Any] = yaml.safe_load(
    (Path(__file__).resolve().parents[3] / "crds" / "ocirepositories.yaml").read_text()
)
V1, V1BETA2 = CRD["spec"]["versions"]


def test_v1beta2_is_v1_plus_the_status_field_of_its_time() -> None:
    old = deepcopy(V1BETA2["schema"])
    status = old["openAPIV3Schema"]["properties"]["status"]["properties"]
    assert status.pop("contentConfigChecksum")["type"] == "string"
    assert old == V1["schema"]
    assert V1BETA2["additionalPrinterColumns"] == V1["additionalPrinterColumns"]
    assert V1BETA2["subresources"] == V1["subresources"] == {"status": {}}


def test_v1_is_stored_and_the_old_version_says_that_it_is_old() -> None:
    assert (V1["name"], V1["served"], V1["storage"], V1.get("deprecated")) == ("v1", True, True, None)
    assert (V1BETA2["name"], V1BETA2["served"], V1BETA2["storage"]) == ("v1beta2", True, False)
    assert V1BETA2["deprecated"] is True
    assert V1BETA2["deprecationWarning"] == "v1beta2 OCIRepository is deprecated, upgrade to v1"
    assert "conversion" not in CRD["spec"]


def test_flux_does_not_substitute_variables_in_it() -> None:
    """A4."""
    assert CRD["metadata"]["annotations"] == {"kustomize.toolkit.fluxcd.io/substitute": "disabled"}


def test_every_field_says_what_it_is_for() -> None:
    assert list(undescribed(V1["schema"]["openAPIV3Schema"], "")) == [".metadata"]


def undescribed(schema: dict[str, Any], path: str) -> list[str]:
    found = [] if "description" in schema else [path]
    for name, child in schema.get("properties", {}).items():
        found += undescribed(child, f"{path}.{name}")
    if "items" in schema:
        found += undescribed(schema["items"], f"{path}[]")
    return found


def test_the_code_and_the_crd_name_the_same_kind() -> None:
    assert (CRD["spec"]["group"], CRD["spec"]["names"]["plural"]) == (source.GROUP, source.PLURAL)
