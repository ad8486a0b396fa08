"""A small assembler: from WebAssembly text, kernel.wat, to what browsers run.

It knows one shape of module, one imported memory and exported functions, and the
instructions that the kernel is written in. An instruction's operands stand inside its
parentheses and come first in the bytes, which work on a stack (WebAssembly Core
Specification 2.0, chapters 5 and 6).
"""

import re
import struct
from functools import cache
from itertools import groupby
from pathlib import Path

TYPES = {"i32": 0x7F, "f32": 0x7D, "v128": 0x7B}
SIMPLE = {
    "i32.add": b"\x6a",
    "i32.sub": b"\x6b",
    "i32.shl": b"\x74",
    "f32x4.splat": b"\xfd\x13",
    "f32x4.add": b"\xfd\xe4\x01",
    "f32x4.mul": b"\xfd\xe6\x01",
}
LOCALS = {"local.get": b"\x20", "local.set": b"\x21", "local.tee": b"\x22"}
MEMORY = {"v128.load": b"\xfd\x00", "v128.store": b"\xfd\x0b"}
ALIGNED = b"\x04\x00"  # at a multiple of 2⁴ bytes, which is a hint; no offset
TOKEN = re.compile(r';;.*|([()]|"[^"]*"|[^\s()";]+)')


def parse_wasm_text(text: str) -> list:
    """The parentheses of a text as nested lists of words."""
    levels = [[]]
    for token in filter(None, TOKEN.findall(text)):
        if token == "(":
            levels.append([])
        elif token == ")":
            inner = levels.pop()
            levels[-1].append(inner)
        else:
            levels[-1].append(token)
    return levels[0]


def wasm_unsigned(n: int) -> bytes:
    """LEB128: seven bits a byte, the lowest first; the eighth says that more follow."""
    low, rest = n & 0x7F, n >> 7
    return bytes([low | 0x80]) + wasm_unsigned(rest) if rest else bytes([low])


def wasm_signed(n: int) -> bytes:
    """The same for numbers that may be negative; the last byte's seventh bit tells."""
    low, rest = n & 0x7F, n >> 7
    if rest in (0, -1) and (rest == -1) == bool(low & 0x40):
        return bytes([low])
    return bytes([low | 0x80]) + wasm_signed(rest)


def wasm_vector(items: list[bytes]) -> bytes:
    """How many items, then the items."""
    return wasm_unsigned(len(items)) + b"".join(items)


def wasm_name(word: str) -> bytes:
    """A name in quotation marks as its length and its letters."""
    letters = word.strip('"').encode()
    return wasm_unsigned(len(letters)) + letters


def wasm_section(number: int, content: bytes) -> bytes:
    """A section of a module, with its length."""
    return bytes([number]) + wasm_unsigned(len(content)) + content


def wasm_instruction(parts: list, names: dict[str, int], labels: list[str]) -> bytes:
    """One instruction with its operands; `labels` are the loops around it."""
    op, *rest = parts
    if op == "loop":
        inner = [*labels, rest[0]]
        inside = [wasm_instruction(part, names, inner) for part in rest[1:]]
        return b"\x03\x40" + b"".join(inside) + b"\x0b"  # no result; its end
    words = [part for part in rest if isinstance(part, str)]
    operands = [part for part in rest if isinstance(part, list)]
    before = b"".join(wasm_instruction(part, names, labels) for part in operands)
    match op:
        case "br_if":  # counts loops from the inside
            return before + b"\x0d" + wasm_unsigned(labels[::-1].index(words[0]))
        case "i32.const":
            return b"\x41" + wasm_signed(int(words[0]))
        case "f32.const":
            return b"\x43" + struct.pack("<f", float(words[0]))
        case "i8x16.shuffle":
            return before + b"\xfd\x0d" + bytes(map(int, words))
    if op in LOCALS:
        return before + LOCALS[op] + wasm_unsigned(names[words[0]])
    if op in MEMORY:
        return before + MEMORY[op] + ALIGNED
    if op in SIMPLE:
        return before + SIMPLE[op]
    raise ValueError(f"The assembler does not know {op!r}; add it to its tables.")


def wasm_function(parts: list) -> tuple[bytes, bytes, bytes]:
    """A function's type, its exported name, and its code."""
    places = [part for part in parts if part[0] in ("param", "local")]
    names = {place[1]: i for i, place in enumerate(places)}
    kinds = {"param": [], "local": []}
    for kind, _, type_ in places:
        kinds[kind].append(bytes([TYPES[type_]]))
    (export,) = (part[1] for part in parts if part[0] == "export")
    skipped = ("export", "param", "local")
    body = [part for part in parts if isinstance(part, list) and part[0] not in skipped]
    runs = [(type_, len([*run])) for type_, run in groupby(kinds["local"])]
    code = wasm_vector([wasm_unsigned(length) + type_ for type_, length in runs])
    code += b"".join(wasm_instruction(part, names, []) for part in body) + b"\x0b"
    type_ = b"\x60" + wasm_vector(kinds["param"]) + wasm_vector([])
    return type_, wasm_name(export), wasm_unsigned(len(code)) + code


def assemble_wasm(text: str) -> bytes:
    """A module in WebAssembly's binary format. ValueError for what is not known."""
    ((_, *parts),) = parse_wasm_text(text)
    imports, functions = [], []
    for part in parts:
        if part[0] == "import":
            _, module, item, (_, pages) = part
            # A memory, at least so large.
            limits = b"\x02\x00" + wasm_unsigned(int(pages))
            imports.append(wasm_name(module) + wasm_name(item) + limits)
        else:
            functions.append(wasm_function(part[1:]))
    types, exports, codes = zip(*functions, strict=True)
    indices = [wasm_unsigned(i) for i in range(len(functions))]
    exported = [e + b"\x00" + i for e, i in zip(exports, indices, strict=True)]
    return b"\x00asm\x01\x00\x00\x00" + b"".join(
        wasm_section(number, wasm_vector([*items]))
        for number, items in (
            (1, types),
            (2, imports),
            (3, indices),
            (7, exported),
            (10, codes),
        )
    )


@cache
def kernel_wasm() -> bytes:
    """The product of matrices for WebAssembly."""
    return assemble_wasm((Path(__file__).parent / "kernel.wat").read_text("utf-8"))
