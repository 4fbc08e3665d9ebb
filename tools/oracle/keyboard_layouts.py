#!/usr/bin/env python3
r"""Records what the published keyboard layouts type, for the tables of crates/chat/src/keyboard.

Asks libxkbcommon (Debian's libxkbcommon0, through ctypes) about the layouts of Debian's xkb-data,
key by key, Python's unicodedata about accents on letters, and the Compose file of Debian's
libx11-data about accents that stand alone. Usage, from the project's root:

    python3 tools/oracle/keyboard_layouts.py > crates/chat/tests/data/keyboard_layouts.txt
    python3 tools/oracle/keyboard_layouts.py --rust     the tables in Rust, to start from

Of French the default variant is taken: with and without Shift, and for # { [ | ` \ ^ @ ] } € with
AltGr, it is what the keys of a French keyboard say and what Windows does.

The output has one record a line, its fields separated by spaces; a character is its code point in
hexadecimal, a dead key is its combining character, "-" is nothing.

    layout NAME XKB                  a layout and where it comes from
    key NAME US c1 ... c8            a key by what a US keyboard types with it, "102" for the key
                                     that it lacks: plain, Shift, AltGr, both, then with Caps Lock
    compose MARK BASE RESULT         a dead key, then a character that some layout can type
    alone MARK SPACE TWICE           a dead key, then the space bar, or the same dead key again
"""

import ctypes
import re
import sys
import unicodedata
from pathlib import Path

COMPOSE = Path("/usr/share/X11/locale/en_US.UTF-8/Compose")

LAYOUTS = {
    "us": ("us", ""),
    "us-intl": ("us", "intl"),
    "uk": ("gb", ""),
    "fr": ("fr", ""),
    "de": ("de", ""),
    "es": ("es", ""),
    "it": ("it", ""),
    "pt": ("pt", ""),
}
ROWS = [
    ("`1234567890-=", ["TLDE"] + [f"AE{n:02}" for n in range(1, 13)]),
    ("qwertyuiop[]\\", [f"AD{n:02}" for n in range(1, 13)] + ["BKSL"]),
    ("asdfghjkl;'", [f"AC{n:02}" for n in range(1, 12)]),
    ("zxcvbnm,./", [f"AB{n:02}" for n in range(1, 11)]),
]
DEAD = {
    "dead_grave": 0x300,
    "dead_acute": 0x301,
    "dead_circumflex": 0x302,
    "dead_tilde": 0x303,
    "dead_macron": 0x304,
    "dead_breve": 0x306,
    "dead_abovedot": 0x307,
    "dead_diaeresis": 0x308,
    "dead_hook": 0x309,
    "dead_abovering": 0x30A,
    "dead_doubleacute": 0x30B,
    "dead_caron": 0x30C,
    "dead_horn": 0x31B,
    "dead_belowdot": 0x323,
    "dead_cedilla": 0x327,
    "dead_ogonek": 0x328,
    "dead_belowmacron": 0x331,
}


class Names(ctypes.Structure):
    _fields_ = [(n, ctypes.c_char_p) for n in ("rules", "model", "layout", "variant", "options")]


def library():
    lib = ctypes.CDLL("libxkbcommon.so.0")
    for name in ("xkb_context_new", "xkb_keymap_new_from_names", "xkb_state_new"):
        getattr(lib, name).restype = ctypes.c_void_p
    return lib


class Keymap:
    """One layout, as libxkbcommon understands it."""

    def __init__(self, lib, layout, variant):
        self.lib = lib
        context = ctypes.c_void_p(lib.xkb_context_new(0))
        names = Names(b"evdev", b"pc105", layout.encode(), variant.encode(), b"")
        made = lib.xkb_keymap_new_from_names(context, ctypes.byref(names), 0)
        assert made, f"no layout {layout} {variant}"
        self.keymap = ctypes.c_void_p(made)
        self.state = ctypes.c_void_p(lib.xkb_state_new(self.keymap))

    def mask(self, modifier):
        return 1 << self.lib.xkb_keymap_mod_get_index(self.keymap, modifier)

    def types(self, key, shift, alt_gr, caps):
        """The code point that a key types, None for nothing."""
        held = self.mask(b"Shift") * shift | self.mask(b"Mod5") * alt_gr
        locked = self.mask(b"Lock") * caps
        self.lib.xkb_state_update_mask(self.state, held, 0, locked, 0, 0, 0)
        code = self.lib.xkb_keymap_key_by_name(self.keymap, key.encode())
        name = ctypes.create_string_buffer(64)
        symbol = self.lib.xkb_state_key_get_one_sym(self.state, code)
        self.lib.xkb_keysym_get_name(symbol, name, 64)
        name = name.value.decode()
        if name.startswith("dead_"):
            return DEAD[name]
        return self.lib.xkb_state_key_get_utf32(self.state, code) or None

    def key(self, key):
        combinations = [(n & 1, n >> 1 & 1, n >> 2) for n in range(8)]
        return [self.types(key, *held) for held in combinations]


def keymaps():
    """Layout, then what a US keyboard types, then the eight characters of the key."""
    lib = library()
    keys = [pair for us, names in ROWS for pair in zip(us, names)]
    keys += [(" ", "SPCE"), ("102", "LSGT")]
    maps = {}
    for name, source in LAYOUTS.items():
        keymap = Keymap(lib, *source)
        maps[name] = {us: keymap.key(key) for us, key in keys}
    return maps


def typable(maps):
    """What the keys of a US keyboard can type, characters and dead keys."""
    keys = [key for layout in maps.values() for us, key in layout.items() if us != "102"]
    typed = {c for key in keys for c in key if c}
    marks = {c for c in typed if unicodedata.combining(chr(c))}
    return sorted(typed - marks), sorted(marks)


def compositions(maps):
    bases, marks = typable(maps)
    for mark in marks:
        for base in bases:
            made = unicodedata.normalize("NFC", chr(base) + chr(mark))
            if len(made) == 1:
                yield mark, base, ord(made)


def alone(maps):
    lines = COMPOSE.read_text("utf-8")
    for name, mark in DEAD.items():
        if mark in typable(maps)[1]:
            found = []
            for second in ("space", name):
                rule = rf'^<{name}> +<{second}>\s*: "\\?(.)"'
                found.append(ord(re.search(rule, lines, re.MULTILINE)[1]))
            yield mark, *found


def rust(maps):
    """The tables as source text; what the 102nd key types is left away."""
    def quoted(codes):
        text = ""
        for code in codes:
            char = chr(code or 0x20)
            plain = char.isprintable() and not unicodedata.combining(char) and char not in '"\\'
            text += char if plain else "\\" + char if char in '"\\' else f"\\u{{{code:x}}}"
        return f'"{text}"'

    for name, keys in maps.items():
        print(f"// {name}")
        for level in range(4):
            rows = [quoted(keys[us][level] for us in row) for row, _ in ROWS]
            print("[" + ", ".join(rows) + "],")
    marks = {}
    for mark, base, made in compositions(maps):
        marks[mark] = marks.get(mark, "") + chr(base) + chr(made)
    for mark, pairs in marks.items():
        print(f"('\\u{{{mark:x}}}', \"{pairs}\"),")


def main():
    maps = keymaps()
    if "--rust" in sys.argv:
        return rust(maps)
    hexed = lambda code: "-" if code is None else f"{code:x}"
    for name, source in LAYOUTS.items():
        print("layout", name, ":".join(filter(None, source)))
        for us, codes in maps[name].items():
            us = us if us == "102" else hexed(ord(us))
            print("key", name, us, *map(hexed, codes))
    for found in compositions(maps):
        print("compose", *map(hexed, found))
    for found in alone(maps):
        print("alone", *map(hexed, found))


if __name__ == "__main__":
    main()
