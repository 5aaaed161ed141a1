"""Two machine instructions that numba does not offer: the high half of a 64 x 64-bit product, and byte reversal."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic  # type: ignore[untyped-decorator]
def multiply_high(_context: Any, _a: Any, _b: Any) -> Any:
    """The upper 64 bits of a * b (u64 each)."""

    def generate(_compiler: Any, builder: Any, _signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def swap_bytes(_context: Any, _a: Any) -> Any:
    """A u64 with its bytes in reverse order: big-endian to native on the machines that we know."""

    def generate(_compiler: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bswap(args[0])

    return types.uint64(types.uint64), generate
