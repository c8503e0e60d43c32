"""An LSTM that passes over frames which are not there."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FrameLSTM(nn.Module):
    """LSTM layers over the features of L frames; padding leaves no trace.

    The frames that are there are moved to the beginning, in order, and the answers back to where the frames were: one
    call of the LSTM over a rectangle, which exports and runs on any device. A frame missing in the middle is passed
    over like one at the beginning.

    Parameters
    ----------
    n_in, hidden, layers : int
    dropout : float
        Between layers, in training.
    """

    def __init__(self, n_in: int, *, hidden: int, layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.lstm = nn.LSTM(n_in, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)

    def forward(self, x: Tensor, padding: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run over clips.

        Parameters
        ----------
        x : (B, L, n_in) Tensor
        padding : (B, L) bool Tensor or None

        Returns
        -------
        last : (B, hidden) Tensor
            The last layer's state after the last frame.
        frames : (B, L, hidden) Tensor
            ... and after each frame.
        """
        if padding is None:
            frames, _ = self.lstm(x)
            return frames[:, -1], frames
        there = (~padding).long()
        n_there = there.sum(dim=1, keepdim=True)
        # where each frame goes: those that are there to 0, 1, ..., the others behind them
        to = torch.where(padding, n_there + padding.long().cumsum(1), there.cumsum(1)) - 1
        packed = torch.zeros_like(x).scatter(1, to[:, :, None].expand_as(x), x)
        answers, _ = self.lstm(packed)
        across = answers.shape[2]
        last = (n_there - 1).clamp(min=0)[:, :, None].expand(-1, -1, across)
        return answers.gather(1, last)[:, 0], answers.gather(1, to[:, :, None].expand(-1, -1, across))
