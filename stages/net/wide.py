"""What numba does not offer: the high half of a 64 x 64-bit product, byte reversal, loads and stores of words, copying
of bytes, and arrays that are not counted."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
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


def _place(context: Any, builder: Any, kind: Any, array: Any, row: Any, offset: Any) -> Any:
    """Pointer to byte `offset` of a row of a 2-d u64 array."""
    ary = context.make_array(kind)(context, builder, array)
    first = builder.bitcast(ary.data, ir.IntType(8).as_pointer())
    step = builder.extract_value(ary.strides, 0)
    place = builder.gep(first, [builder.add(builder.mul(row, step), offset)])
    return builder.bitcast(place, ir.IntType(64).as_pointer())


@intrinsic  # type: ignore[untyped-decorator]
def load_bytes(_context: Any, array: Any, _row: Any, _offset: Any) -> Any:
    """The 8 bytes from byte `offset` of `array[row]` (u64, 2-d, rows contiguous) as a native u64. No bounds are
    checked: offset + 8 must be within the row."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        loaded = builder.load(_place(context, builder, signature.args[0], *args))
        loaded.align = 1
        return loaded

    return types.uint64(array, types.int64, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def store_bytes(_context: Any, array: Any, _row: Any, _offset: Any, _value: Any) -> Any:
    """Write a native u64 to the 8 bytes from byte `offset` of `array[row]`; as `load_bytes`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        stored = builder.store(args[3], _place(context, builder, signature.args[0], *args[:3]))
        stored.align = 1
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64, types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def copy_bytes(_context: Any, target: Any, _at: Any, source: Any, _first: Any, _count: Any) -> Any:
    """target[at : at + count] = source[first : first + count], of u8 arrays (1-d, C-contiguous) that do not overlap. No
    bounds are checked."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        places = []
        for array, offset, kind in ((args[0], args[1], signature.args[0]), (args[2], args[3], signature.args[2])):
            data = context.make_array(kind)(context, builder, array).data
            places.append(builder.gep(builder.bitcast(data, ir.IntType(8).as_pointer()), [offset]))
        cgutils.raw_memcpy(builder, places[0], places[1], args[4], 1)
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def lent(_context: Any, array: Any) -> Any:
    """The same array without its owner: inside a kernel, whose caller holds the array, nothing need be counted."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        same = context.make_array(signature.args[0])(context, builder, args[0])
        same.meminfo = cgutils.get_null_value(same.meminfo.type)
        same.parent = cgutils.get_null_value(same.parent.type)
        return same._getvalue()

    return array(array), generate
