"""Licences as the Hugging Face hub names them."""

from __future__ import annotations

# identifiers that the hub knows, as far as data is put under them
_KNOWN = frozenset(
    {
        *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "odbl", "odc-by", "pddl"),
        *(f"cc-by{more}-{version}" for version in ("2.0", "2.5", "3.0", "4.0") for more in ("", "-sa")),
        *(f"cc-by-nc{more}-{version}" for version in ("2.0", "3.0", "4.0") for more in ("", "-sa", "-nd")),
        "cc-by-nd-4.0",
    }
)


def hub_licence(licence: str | None) -> dict[str, str]:
    """Return what a card's head says of a licence.

    Examples
    --------
    >>> hub_licence("CC-BY-4.0"), hub_licence("Signed agreement only"), hub_licence(None)
    ({'license': 'cc-by-4.0'}, {'license': 'other', 'license_name': 'Signed agreement only'}, {'license': 'unknown'})
    """
    if licence is None:
        return {"license": "unknown"}
    name = "-".join(licence.lower().split())
    return {"license": name} if name in _KNOWN else {"license": "other", "license_name": licence}
