"""What calibration remembers of a tensor: its range and a sample of its values."""

import torch
from torch import Tensor

from mcugen.errors import fail

VALUES_PER_BATCH = 16384  # of each channel; enough for a 99.9 % quantile
VALUES_KEPT = 1 << 18


class Observer:
    """Collects rows `[C, n]` batch by batch: minimum, maximum and a random sample of each row.

    `name` is that of the tensor, for errors.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self.low: Tensor | None = None  # [C]
        self.high: Tensor | None = None  # [C]
        self._sample: list[Tensor] = []
        # Random rather than every n-th value: a stride would meet the same image columns again.
        self._generator = torch.Generator().manual_seed(0)

    def add(self, rows: Tensor) -> None:
        """Raises McugenError where a value is NaN or infinite, or there is none."""
        rows = rows.detach()
        if rows.numel() == 0:
            got = str(list(rows.shape))
            raise fail("calibrate", "a batch without values", at=self.name, got=got)
        if not bool(torch.isfinite(rows).all()):
            raise fail(
                "calibrate",
                "values are NaN or infinite",
                at=self.name,
                help="check data and weights",
            )
        low, high = rows.amin(1), rows.amax(1)
        self.low = low if self.low is None else torch.minimum(self.low, low)
        self.high = high if self.high is None else torch.maximum(self.high, high)
        self._sample.append(self._thin(rows))

    def _thin(self, rows: Tensor) -> Tensor:
        if rows.shape[1] <= VALUES_PER_BATCH:
            return rows.clone()
        picks = torch.randint(rows.shape[1], (VALUES_PER_BATCH,), generator=self._generator)
        return rows[:, picks]

    def sample(self) -> Tensor:
        """Up to `VALUES_KEPT` of the values seen, `[C, n]`."""
        values = torch.cat(self._sample, 1)
        if values.shape[1] > VALUES_KEPT:
            picks = torch.randperm(values.shape[1], generator=self._generator)[:VALUES_KEPT]
            values = values[:, picks]
        return values

    def range(self, percentile: float) -> tuple[Tensor, Tensor]:
        """(low, high) of each row: the extremes at 100, else the quantiles 100 − p and p."""
        assert self.low is not None
        assert self.high is not None
        if percentile >= 100.0:
            return self.low, self.high
        values = self.sample()
        share = percentile / 100.0
        return torch.quantile(values, 1.0 - share, dim=1), torch.quantile(values, share, dim=1)


class Blindfold(Observer):
    """Remembers nothing: a quantizer that wears it lets values pass as they are."""

    def add(self, rows: Tensor) -> None:
        del rows
