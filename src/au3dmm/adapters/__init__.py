"""What `au3dmm init --layout` does: find the recordings of a dataset in a known layout, and describe them.

One module per layout, each with a function ``find`` (see `proposal.Adapter`), and one writer for all of them.
"""

from au3dmm.adapters.layouts import LAYOUTS, adapter_for
from au3dmm.adapters.proposal import LeftOut, Options, Proposal
from au3dmm.adapters.writing import Written, write_dataset

__all__ = ["LAYOUTS", "LeftOut", "Options", "Proposal", "Written", "adapter_for", "write_dataset"]
