"""AMX's tiles for an emulated CPU that has none: the instructions that our kernels use, executed as
Intel's manual (volume 2) describes them."""

import struct

import numpy as np

REGISTERS = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
             "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"]
ROWS, ROW_BYTES = 16, 64
DOWN, ACROSS = np.arange(ROWS)[:, None], np.arange(ROW_BYTES)
# What LDTILECFG is given: palette 1, and all eight tiles whole.
WHOLE_TILES = struct.pack("<BB14x8H16x8B8x", 1, 0, *[ROW_BYTES] * 8, *[ROWS] * 8)


class Tiles:
    """The registers of a machine with this memory."""

    def __init__(self, memory):
        self.memory = np.frombuffer(memory, np.uint8)
        self.tiles = np.zeros((8, ROWS, ROW_BYTES), np.uint8)
        self.configured = False
        self.executed = 0

    def execute(self, cpu, code):
        """Executes the instruction `code`; whether it is one of AMX's."""
        if len(code) < 5 or code[0] != 0xc4 or code[1] & 31 != 2:
            return False
        opcode, prefix, modrm = code[3], code[2] & 3, code[4]
        has_memory = modrm < 0xc0
        if len(code) != 5 + (has_memory and modrm & 7 == 4) + {1: 1, 2: 4}.get(modrm >> 6, 0):
            return False
        tile, other, third = modrm >> 3 & 7, modrm & 7, ~code[2] >> 3 & 7
        at, stride = operand(cpu, code) if has_memory else (0, 0)
        match opcode, prefix, has_memory:
            case 0x49, 0, True:
                assert self.memory[at:at + 64].tobytes() == WHOLE_TILES, "LDTILECFG"
                self.configured = True
                self.tiles[:] = 0
            case 0x49, 0, False:
                self.configured = False
            case 0x49, 3, False:
                self.tiles[tile] = 0
            case 0x4b, 3, True:
                self.tiles[tile] = self.memory[at + stride * DOWN + ACROSS]
            case 0x4b, 2, True:
                self.memory[at + stride * DOWN + ACROSS] = self.tiles[tile]
            case 0x5c, 2, False:
                self.multiply(tile, other, third)
            case _:
                return False
        assert self.configured or opcode == 0x49, "a tile was used before LDTILECFG"
        self.executed += 1
        return True

    def multiply(self, to, a, b):
        """TDPBF16PS. Products of two bf16 are exact, so a sum is rounded once, as by a fused
        multiplication; what our kernels give it leaves no subnormal, which it would flush."""
        (left, right), total = (halves(self.tiles[i]) for i in (a, b)), np.float32(0)
        with np.errstate(all="ignore"):
            for k in range(ROWS):
                total = total + left[:, :, k, None] * right[:, k, None, :]
            sums = self.tiles[to].view(np.float32) + (total[0] + total[1])
        self.tiles[to] = sums.view(np.uint8)


def operand(cpu, code):
    """Address of a memory operand, and what the index register adds for each row."""
    modrm = code[4]
    high_index, high_base = [8 * (~code[1] >> bit & 1) for bit in (6, 5)]
    base, index, scale, end = modrm & 7, 4, 0, 5
    if base == 4:
        base, index, scale, end = code[5] & 7, code[5] >> 3 & 7 | high_index, code[5] >> 6, 6
    at = getattr(cpu, REGISTERS[base | high_base])
    if modrm >> 6:
        at += struct.unpack_from("<b" if modrm >> 6 == 1 else "<i", code, end)[0]
    return at, getattr(cpu, REGISTERS[index]) << scale if index != 4 else 0


def halves(tile):
    """The lower bf16 of each word, and the upper, as f32."""
    words = tile.view(np.uint32)
    return np.stack([words << 16, words & 0xffff_0000]).view(np.float32)
