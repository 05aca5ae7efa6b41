"""Adam whose steps with some rows of a table are compiled."""

from __future__ import annotations

import numpy as np

from sparkml_algos.training.optimizers import Adam, Rate


class CompiledAdam(Adam):
    """`Adam`, whose steps with `rows` of a parameter run in a kernel."""

    def _step_one(
        self, index: int, gradient: np.ndarray, rate: Rate, l1: Rate | None, rows: np.ndarray | None, decay: Rate | None
    ) -> np.ndarray:
        if rows is None or l1 is not None:
            return super()._step_one(index, gradient, rate, l1, rows, decay)
        from sparkml_algos.kernels.factorization import move_rows

        table, single = self.parameters[index], np.float32
        rate, decay = (np.ascontiguousarray(np.broadcast_to(0 if one is None else one, table.shape[1:]), single) for one in (rate, decay))
        betas, corrections = (tuple(single(one) for one in pair) for pair in (self._betas, self._corrections()))
        move_rows(rows, gradient, table, *self.memory[index], rate, decay, betas, corrections, single(self._epsilon))
        return table
