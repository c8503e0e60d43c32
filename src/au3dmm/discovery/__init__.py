"""What `au3dmm init` does: find what a recording's folder holds, and write its `session.toml` from that."""

from au3dmm.discovery.folder import Found, discover
from au3dmm.discovery.ids import ids_of
from au3dmm.discovery.text import manifest_text

__all__ = ["Found", "discover", "ids_of", "manifest_text"]
