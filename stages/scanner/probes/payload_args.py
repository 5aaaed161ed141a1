"""`--probe-args` that name a payload: `text:...`, `hex:...`, `file:...`; what the modules share of reading them.

The bytes are taken as they are, whatever they are.
"""

from __future__ import annotations

from stages.proto import ready


def literal(form: str, value: str) -> bytes | None:
    """The bytes of a form; None for another form. Raises ValueError (bad hex), OSError (the file)."""
    if form == "text":
        return value.encode()
    if form == "hex":
        try:
            return bytes.fromhex(value)
        except ValueError:
            raise ValueError(f"hex: takes pairs of hexadecimal digits, not {value!r}") from None
    return ready.read(value) if form == "file" else None


def split(name: str, args: str, forms: str) -> tuple[str, str]:
    """(form, value) of `form:value`. Raises ValueError that says what `name` takes."""
    form, colon, value = args.partition(":")
    if not colon:
        raise ValueError(f"{name} takes {forms}, not {args!r}")
    return form, value
