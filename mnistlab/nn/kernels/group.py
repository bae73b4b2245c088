"""What a group of layers is that kernels compute together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mnistlab.nn.kernels.memory import Memory, address
from mnistlab.nn.kernels.program import Program


@dataclass
class Group:
    """Layers ``first`` to ``last`` of a network, computed as one; it writes where the next group reads."""

    name: str
    first: int
    last: int
    memory: Memory = field(repr=False)
    kept: list[np.ndarray] = field(default_factory=list, repr=False)  # tables whose addresses the program holds

    def table(self, *parts: Any) -> int:
        """Return the address of a table of offsets."""
        array = self.memory.table(*parts)
        self.kept.append(array)
        return address(array)

    def input(self, images: int) -> Any:
        """Allocate the input for so many images."""
        raise NotImplementedError

    def forward(self, program: Program, x: Any, y: Any, images: int) -> None:
        """Add the calls that write y for x."""
        raise NotImplementedError

    def backward(self, program: Program, x: Any, y: Any, images: int, need_dx: bool) -> None:
        """Add the calls that write the gradients of the parameters, and of x if needed, given that of y."""
        raise NotImplementedError
