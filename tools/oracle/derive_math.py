#!/usr/bin/env python3
"""Derives every irrational constant of crates/math and prints it as Rust.

    python3 tools/oracle/derive_math.py           print the constants and the golden values
    python3 tools/oracle/derive_math.py --check   fail unless crates/math contains exactly these

Needs mpmath (pip install mpmath). Nothing is taken from another library's tables: each number
is computed here at 400 bits and rounded once to f64. Constants of the form 1/n! are not here,
because Rust's `1.0 / 120.0` is already the correctly rounded value.
"""

import struct
import sys
from pathlib import Path

from mpmath import mp, mpf

mp.prec = 400
CRATE = Path(__file__).resolve().parents[2] / "crates" / "math"

# Inputs of exp whose true result lies nearest to a rounding boundary of f32 (relative distance
# below 2^-49), as found by a scan of all f32 inputs. An implementation that is slightly too
# coarse fails on these first.
EXP_HARDEST_BITS = [
    0x33800000, 0x36FDFFC1, 0x377EFF81, 0x383A3EF1, 0x38E69CC1, 0x39C6BE5B,
    0x39E5BB1D, 0x3D1A274E, 0x3FE67199, 0x4001B249, 0x40315B33, 0x41CBF87B, 0x4288942B,
    0xB3000000, 0xBAE0E25C, 0xBBB70EE8, 0xBBF0EDF1, 0xBC2A461A, 0xC13D6631, 0xC16912CD,
]


def f64(value):
    """The nearest f64 (mpmath rounds half to even), as an exact mpf."""
    return mpf(float(value))


def f64_bits(value):
    return struct.unpack("<Q", struct.pack("<d", float(value)))[0]


def hex_f64(value):
    digits = f"{f64_bits(value):016x}"
    return "0x" + "_".join(digits[i : i + 4] for i in range(0, 16, 4))


def leading_bits(value, count):
    """`value` rounded to `count` significant bits."""
    unit = mpf(2) ** (mp.floor(mp.log(abs(value), 2)) - (count - 1))
    return mp.nint(value / unit) * unit


def constant(name, value):
    return f"pub const {name}: f64 = f64::from_bits({hex_f64(value)});"


def parts(value, names):
    """`value` as an unevaluated sum of f64s, each the rounding of what is left."""
    lines, rest = [], value
    for name in names:
        lines.append(constant(name, rest))
        rest -= f64(rest)
    return lines


def exp_constants():
    ln2 = mp.log(2)
    hi = leading_bits(ln2 / 32, 39)
    lines = [
        constant("STEPS_PER_LN2", 32 / ln2),
        constant("LN2_OVER_STEPS_HI", hi),
        constant("LN2_OVER_STEPS_LO", ln2 / 32 - hi),
    ]
    entries = []
    for i in range(32):
        entry = (f64_bits(mpf(2) ** (mpf(i) / 32)) - (i << 47)) % 2**64
        digits = f"{entry:016x}"
        entries.append("0x" + "_".join(digits[j : j + 4] for j in range(0, 16, 4)))
    for i in range(0, 32, 4):
        lines.append("    " + " ".join(e + "," for e in entries[i : i + 4]))
    return lines


def sin_cos_constants():
    half_pi = mp.pi / 2
    return [constant("TWO_OVER_PI", 1 / half_pi)] + parts(
        half_pi, ["HALF_PI_HI", "HALF_PI_MID", "HALF_PI_LO"]
    )


def pow_constants():
    return parts(mp.log(2), ["LN2_HI", "LN2_LO"])


def ln_constants():
    leading = leading_bits(mp.log(2), 42)
    return [constant("LEADING", leading), constant("TRAILING", mp.log(2) - leading)]


def nearest_f32_bits(value):
    """The nearest f32 to a positive mpf in f32's normal range (never a tie here)."""
    rounded = leading_bits(value, 24)
    return struct.unpack("<I", struct.pack("<f", float(rounded)))[0]


def golden_exp():
    lines = []
    for bits in EXP_HARDEST_BITS:
        (x,) = struct.unpack("<f", struct.pack("<I", bits))
        lines.append(f"    (0x{bits:08x}, 0x{nearest_f32_bits(mp.exp(mpf(x))):08x}),")
    return lines


def nearest_multiples_of_half_pi(count, limit):
    """The f64s x <= limit with the smallest |x - k pi/2|: where reduction cancels most.

    x = m 2^e is near k pi/2 only where k/m is a convergent (or nearly) of 2^e / (pi/2).
    """
    found = []
    for exponent in range(-53, -22):
        ratio = mpf(2) ** exponent / (mp.pi / 2)
        a, rest = int(mp.floor(ratio)), ratio
        p, q, p_last, q_last = a, 1, 1, 0
        while q < 2**53:
            rest = 1 / (rest - a)
            a = int(mp.floor(rest))
            p, p_last = a * p + p_last, p
            q, q_last = a * q + q_last, q
            x = q * mpf(2) ** exponent
            if 2**52 <= q < 2**53 and x <= limit:
                found.append((abs(x - p * mp.pi / 2), float(x)))
    found.sort()
    return [x for _, x in found[:count]]


def golden_sin_cos():
    ordinary = [0.5, 1.0, 2.0, 3.0, 10.0, 100.5, 4095.0, 131071.0, 1e6, 2.0**30, 1e-3, 0.78539816]
    lines = []
    for x in ordinary + nearest_multiples_of_half_pi(8, mpf(2) ** 30):
        row = (x, mp.sin(mpf(x)), mp.cos(mpf(x)))
        lines.append("    (" + ", ".join(hex_f64(v) for v in row) + "),")
    return lines


def golden_pow():
    rows = []
    for base in (10000.0, 500000.0, 1000000.0):
        rows += [(base, i / 64) for i in (1, 7, 31, 63)]
        rows += [(base, -i / 64) for i in (1, 7, 31, 63)]
    rows += [(2.0, 1023.5), (0.5, 1021.25), (1.0000000001, 1e12), (1e-300, 0.99), (5e-324, 0.5)]
    lines = []
    for base, exponent in rows:
        row = (base, exponent, mp.power(mpf(base), mpf(exponent)))
        lines.append("    (" + ", ".join(hex_f64(v) for v in row) + "),")
    return lines


SECTIONS = {
    "src/exp.rs": exp_constants,
    "src/sin_cos.rs": sin_cos_constants,
    "src/pow.rs": pow_constants,
    "src/ln.rs": ln_constants,
    "tests/functions/exp.rs": golden_exp,
    "tests/functions/sin_cos.rs": golden_sin_cos,
    "tests/functions/pow.rs": golden_pow,
}


def main():
    check = "--check" in sys.argv[1:]
    missing = 0
    for path, derive in SECTIONS.items():
        lines = derive()
        if not check:
            print(f"// {path}", *lines, sep="\n", end="\n\n")
            continue
        # Private constants drop the `pub `; compare what follows it.
        source = (CRATE / path).read_text()
        absent = [line for line in lines if line.strip().removeprefix("pub ") not in source]
        for line in absent:
            print(f"{path}: missing or different: {line.strip()}")
        missing += len(absent)
    if check:
        print(f"{missing} constants differ" if missing else "all constants agree")
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
