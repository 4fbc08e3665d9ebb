#!/usr/bin/env python3
"""Makes assets/fonts/console{16,24,32}.psf, the screen's fonts, from a bitmap font of X11.

The source is Debian's xfonts-terminus (SIL OFL 1.1), the files ter-u{16n,24b,32n}_unicode.pcf.gz:
the bold face at 24, where the normal one has lines of a single pixel that are hard to read. All
their glyphs are taken as they are; the few that a chat needs and the source lacks are drawn here
(`drawn`). Usage, from the root of the project:

    apt-get download xfonts-terminus && dpkg -x xfonts-terminus_*.deb PACKAGE
    python3 tools/font/console_font.py PACKAGE/usr/share/fonts/X11/misc
    python3 tools/font/console_font.py FOLDER --sheet OUT   also write OUT/console*.pgm, to look at
    python3 tools/font/console_font.py FOLDER --bdf OUT     compare with OUT/u{16,24,32}.bdf,
                                                            which `pcf2bdf` made of the same files

The output is PSF version 2: glyphs by ascending code point, one code point each, so that the n-th
entry of the Unicode table belongs to the n-th glyph and can be found by bisection.
"""

import gzip
import math
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIZES = [16, 24, 32]
FACES = {16: "n", 24: "b", 32: "n"}

# Tables of a PCF file that are read, and bits of their formats.
METRICS, BITMAPS, ENCODINGS = 1 << 2, 1 << 3, 1 << 5
COMPRESSED_METRICS, BIG_ENDIAN, BIG_BITS = 0x100, 1 << 2, 1 << 3

# Characters that look as another does.
COPIES = {
    0x202F: 0x00A0,  # narrow no-break space, before French ! and ?
    0x220F: 0x03A0,  # product
    0x2211: 0x03A3,  # sum
}
# Quadrants of U+2596 to U+259F: upper left 1, upper right 2, lower left 4, lower right 8.
QUADRANTS = [4, 8, 1, 13, 9, 7, 11, 2, 6, 14]
STAR16 = [
    "...#....",
    "...#....",
    "#######.",
    ".#####..",
    "..###...",
    ".##.##..",
    ".#...#..",
]


def pcf_tables(data):
    """The tables of a PCF file: type to (format, byte order, bytes)."""
    assert data[:4] == b"\x01fcp", "not a PCF file"
    tables = {}
    for i in range(struct.unpack_from("<I", data, 4)[0]):
        kind, form, size, at = struct.unpack_from("<4I", data, 8 + 16 * i)
        tables[kind] = form, ">" if form & BIG_ENDIAN else "<", data[at : at + size]
    return tables


def pcf_metrics(table):
    """(left bearing, right bearing, width, ascent, descent) of every glyph."""
    form, order, data = table
    if form & COMPRESSED_METRICS:
        count = struct.unpack_from(order + "H", data, 4)[0]
        return [tuple(b - 128 for b in data[6 + 5 * i : 11 + 5 * i]) for i in range(count)]
    count = struct.unpack_from(order + "I", data, 4)[0]
    return [struct.unpack_from(order + "5h", data, 8 + 12 * i) for i in range(count)]


def pcf_bitmaps(table, metrics):
    """Every glyph as a list of rows, each a list of 0 and 1."""
    form, order, data = table
    count = struct.unpack_from(order + "I", data, 4)[0]
    offsets = struct.unpack_from(f"{order}{count}I", data, 8)
    base = 8 + 4 * count + 16
    pad, unit = 1 << (form & 3), 1 << (form >> 4 & 3)
    swapped = bool(form & BIG_BITS) != bool(form & BIG_ENDIAN)
    glyphs = []
    for offset, (left, right, _, ascent, descent) in zip(offsets, metrics):
        stride = -(-(right - left) // (8 * pad)) * pad
        rows = []
        for y in range(ascent + descent):
            at = base + offset + y * stride
            row = data[at : at + stride]
            if swapped:
                units = [row[i : i + unit][::-1] for i in range(0, stride, unit)]
                row = b"".join(units)
            shift = (lambda x: 7 - x % 8) if form & BIG_BITS else (lambda x: x % 8)
            rows.append([row[x // 8] >> shift(x) & 1 for x in range(right - left)])
        glyphs.append(rows)
    return glyphs


def pcf_encodings(table):
    """Code point to number of the glyph."""
    _, order, data = table
    low2, high2, low1, high1, _ = struct.unpack_from(order + "5H", data, 4)
    found, at = {}, 14
    for high in range(low1, high1 + 1):
        for low in range(low2, high2 + 1):
            glyph = struct.unpack_from(order + "H", data, at)[0]
            at += 2
            if glyph != 0xFFFF:
                found[high << 8 | low] = glyph
    return found


def source(folder, size):
    """Every character of the source as rows of 0 and 1, all of one size."""
    data = gzip.decompress((folder / f"ter-u{size}{FACES[size]}_unicode.pcf.gz").read_bytes())
    tables = pcf_tables(data)
    glyphs = pcf_bitmaps(tables[BITMAPS], pcf_metrics(tables[METRICS]))
    chars = {code: glyphs[n] for code, n in pcf_encodings(tables[ENCODINGS]).items()}
    for code, rows in chars.items():
        fits = len(rows) == size and all(len(row) == size // 2 for row in rows)
        assert fits, f"U+{code:04X} does not fill its cell of {size // 2}x{size}"
    return chars


def blank(size):
    return [[0] * (size // 2) for _ in range(size)]


def square(rows):
    """The outermost rows and columns with ink: top, bottom, left, right."""
    ys = [y for y, row in enumerate(rows) if any(row)]
    xs = [x for x in range(len(rows[0])) if any(row[x] for row in rows)]
    return ys[0], ys[-1], xs[0], xs[-1]


def filled(size, top, bottom, left, right):
    rows = blank(size)
    for y in range(top, bottom + 1):
        rows[y][left : right + 1] = [1] * (right + 1 - left)
    return rows


def star(size, top):
    """A star of five points: by hand in the small cell, else the pixels whose centres are in it."""
    rows = blank(size)
    if size == 16:
        for y, line in enumerate(STAR16):
            rows[top + y] = [int(c == "#") for c in line]
        return rows
    wide = size // 2 - 1
    middle, radius = wide / 2, wide / 2 / math.sin(math.radians(72)) + 0.3
    points = []
    for i in range(10):
        reach = radius if i % 2 == 0 else radius * 0.42
        angle = math.radians(36 * i)
        points.append((middle + reach * math.sin(angle), radius - reach * math.cos(angle)))
    for y in range(size - top):
        for x in range(wide):
            inside = False
            for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1]):
                if (ay > y + 0.5) != (by > y + 0.5):
                    inside ^= x + 0.5 < ax + (y + 0.5 - ay) * (bx - ax) / (by - ay)
            rows[top + y][x] = int(inside)
    return rows


def drawn(chars, size):
    """What the source lacks, from its own glyphs where that can be."""
    made = {code: chars[like] for code, like in COPIES.items()}
    for i, quadrants in enumerate(QUADRANTS):
        rows = blank(size)
        for y in range(size):
            for x in range(size // 2):
                quadrant = (y >= size // 2) * 2 + (x >= size // 4)
                rows[y][x] = quadrants >> quadrant & 1
        made[0x2596 + i] = rows
    # The white and the small square stand where the black square of the source stands.
    top, bottom, left, right = square(chars[0x25A0])
    pen = size // 16
    hollow = filled(size, top, bottom, left, right)
    for y in range(top + pen, bottom + 1 - pen):
        hollow[y][left + pen : right + 1 - pen] = [0] * (right + 1 - left - 2 * pen)
    made[0x25A1] = hollow
    inset = max(1, (right + 1 - left) // 4)
    made[0x25AA] = filled(size, top + inset, bottom - inset, left + inset, right - inset)
    made[0x2605] = star(size, top)
    assert not made.keys() & chars.keys(), "the source has what is drawn here"
    return made


def psf(chars, size):
    stride = -(-size // 2 // 8)
    glyphs, table = bytearray(), bytearray()
    for code in sorted(chars):
        for row in chars[code]:
            bits = "".join(map(str, row)).ljust(8 * stride, "0")
            glyphs += int(bits, 2).to_bytes(stride, "big")
        table += chr(code).encode() + b"\xff"
    header = struct.pack(
        "<8I", 0x864AB572, 0, 32, 1, len(chars), size * stride, size, size // 2
    )
    return header + bytes(glyphs) + bytes(table)


def sheet(chars, size, path):
    """All glyphs, 48 in a row, as a grey picture."""
    columns, wide = 48, size // 2
    codes = sorted(chars)
    lines = -(-len(codes) // columns)
    width, height = columns * (wide + 2), lines * (size + 2)
    pixels = bytearray(b"\x40" * (width * height))
    for i, code in enumerate(codes):
        left, top = i % columns * (wide + 2), i // columns * (size + 2)
        for y, row in enumerate(chars[code]):
            at = (top + y) * width + left
            pixels[at : at + wide] = bytes(255 * bit for bit in row)
    path.write_bytes(b"P5 %d %d 255\n" % (width, height) + pixels)


def compare_bdf(chars, path):
    """Fails unless another reader of the same source saw the same glyphs."""
    code, rows, seen = None, None, {}
    for line in path.read_text("latin-1").splitlines():
        word, *rest = line.split() or [""]
        if word == "ENCODING":
            code = int(rest[0])
        elif word == "BITMAP":
            rows = seen.setdefault(code, [])
        elif word == "ENDCHAR":
            rows = None
        elif rows is not None:
            bits = f"{int(word, 16):0{4 * len(word)}b}"
            rows.append([int(b) for b in bits[: len(chars[code][0])]])
    assert seen == chars, f"{path}: glyphs differ"


def main():
    folder, *options = sys.argv[1:]
    for size in SIZES:
        chars = source(Path(folder), size)
        if "--bdf" in options:
            compare_bdf(chars, Path(options[options.index("--bdf") + 1]) / f"u{size}.bdf")
        made = drawn(chars, size)
        everything = chars | made
        out = ROOT / "assets" / "fonts" / f"console{size}.psf"
        out.write_bytes(psf(everything, size))
        if "--sheet" in options:
            folder_out = Path(options[options.index("--sheet") + 1])
            sheet(everything, size, folder_out / f"console{size}.pgm")
        print(f"{out.name}: {len(chars)} glyphs of the source, {len(made)} drawn")


if __name__ == "__main__":
    main()
