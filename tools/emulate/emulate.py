"""Runs a static Linux program on an emulated CPU with AVX-512, in this process.

    LD_PRELOAD=bochs.so python3 emulate.py PROGRAM [ARGUMENTS]

The CPU is Bochs' (PyPI's bochscpu). There is no kernel: this answers the system calls that a Rust
test program makes on a single thread. With EMULATE_AMX=1 the CPU has AMX, too (amx.py).
"""

import ctypes
import mmap
import os
import struct
import sys
import time

import amx
import bochscpu
import bochscpu._bochscpu.memory
import bochscpu.cpu

PAGE, MEMORY = 1 << 12, 1 << 30
# Where things lie; memory is mapped to itself.
PAGE_TABLES, SYSTEM_CALL, FS_BASE, GDT, IDT, TSS = 0x1000, 0x8000, 0x8800, 0x9000, 0xa000, 0xb000
AFTER_AMX, AMX_LENGTH, AMX_STACK = 0xc000, 0xc800, 0xf000
STACK, HEAP, MAPPINGS = 0xf00_0000, 0xf10_0000, 0x1800_0000
INVALID_OPCODE = 6
# Errors of Linux.
ENOENT, EAGAIN, ENOTTY, ENOSYS = 2, 11, 25, 38
# Tests choose the same numbers in every run, and fewer than on a real CPU.
ENVIRONMENT = ["PROPTEST_RNG_SEED=7", "PROPTEST_CASES=48"]


class Machine:
    def __init__(self, program, arguments):
        self.bytes = mmap.mmap(-1, MEMORY)
        self.memory = memoryview(self.bytes)
        self.tiles = amx.Tiles(self.memory)
        self.heap_end, self.mapped, self.status, self.skipped = HEAP, MAPPINGS, None, False
        host = ctypes.addressof(ctypes.c_char.from_buffer(self.bytes))
        for page in range(0, MEMORY, PAGE):
            bochscpu._bochscpu.memory.page_insert(page, host + page)
        self.lay_out_system()
        entry, headers = self.load(program)
        stack = self.lay_out_stack([program, *arguments], headers)
        self.session = bochscpu.Session()
        self.session.cpu.state = initial_state(entry, stack)

    def put(self, at, data):
        self.memory[at:at + len(data)] = data

    def lay_out_system(self):
        """Page tables for a GiB, and what a CPU needs to enter and leave the two handlers."""
        tables = [PAGE_TABLES + i * PAGE for i in range(3)]
        for table, entry in [(tables[0], tables[1]), (tables[1], tables[2])]:
            self.put(table, struct.pack("<Q", entry | 7))
        self.put(tables[2], struct.pack("<512Q", *[i << 21 | 0x87 for i in range(512)]))
        # mov r11, [FS_BASE]; wrfsbase r11; jmp rcx
        self.put(SYSTEM_CALL, bytes.fromhex("4c8b1c25") + struct.pack("<I", FS_BASE)
                 + bytes.fromhex("f3490faed3 ffe1"))
        # push rax; mov rax, [AMX_LENGTH]; add [rsp + 8], rax; pop rax; iretq
        self.put(AFTER_AMX, bytes.fromhex("50 488b0425") + struct.pack("<I", AMX_LENGTH)
                 + bytes.fromhex("4801442408 58 48cf"))
        self.put(GDT, struct.pack("<3Q", 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff))
        gate = struct.pack("<HHBBHQ", AFTER_AMX, 8, 1, 0x8e, 0, 0)
        self.put(IDT + 16 * INVALID_OPCODE, gate)
        self.put(TSS + 36, struct.pack("<Q", AMX_STACK))

    def load(self, program):
        """Loads an ELF file; its entry, and where its headers are: address, size, number."""
        with open(program, "rb") as file:
            elf = file.read()
        if elf[:5] != b"\x7fELF\x02" or elf[16] != 2:
            sys.exit(f"{program}: not a program of 64 bits that lies at a fixed address")
        entry, first = struct.unpack_from("<QQ", elf, 24)
        size, count = struct.unpack_from("<HH", elf, 54)
        headers = 0
        for at in range(first, first + count * size, size):
            kind, _, offset, address, _, held, _, _ = struct.unpack_from("<IIQQQQQQ", elf, at)
            if kind == 1:
                self.put(address, elf[offset:offset + held])
                if offset <= first < offset + held:
                    headers = address + first - offset
        return entry, (headers, size, count)

    def lay_out_stack(self, arguments, headers):
        """What a program finds on its stack; the stack's top."""
        top = STACK

        def push(data):
            nonlocal top
            top -= len(data)
            self.put(top, data)
            return top

        random = push(bytes(range(16)))
        texts = [[push(text.encode() + b"\0") for text in texts]
                 for texts in (arguments, ENVIRONMENT)]
        words = [len(arguments), *texts[0], 0, *texts[1], 0]
        for pair in zip((3, 4, 5, 6, 25, 0), (*headers, PAGE, random, 0)):
            words += pair
        top = top - 8 * len(words) & ~63
        self.put(top, struct.pack(f"<{len(words)}Q", *words))
        return top

    def run(self):
        """Runs the program to its end; its exit status."""
        hook = bochscpu.Hook()
        hook.far_branch, hook.exception = self.far_branch, self.exception
        self.session.run([hook])
        return self.status

    def stop(self, status):
        self.status = status
        self.session.stop()

    def exception(self, _session, _cpu, vector, _error):
        cpu = self.session.cpu
        if vector == INVALID_OPCODE:
            # RIP is past the instruction already; the one that is saved is not.
            for length in range(5, 11):
                if self.tiles.execute(cpu, bytes(self.memory[cpu.rip - length:cpu.rip])):
                    self.put(AMX_LENGTH, struct.pack("<Q", length))
                    return
        code = bytes(self.memory[cpu.rip - 16:cpu.rip]).hex(" ")
        print(f"emulate: exception {vector} at {cpu.rip:#x}, behind {code}", file=sys.stderr)
        self.stop(128 + vector)

    def far_branch(self, _session, _cpu, what, *_):
        if what == bochscpu.InstructionType.IS_SYSCALL.value:
            cpu = self.session.cpu
            result = self.system_call(cpu.rax, cpu.rdi, cpu.rsi, cpu.rdx)
            cpu.rax = result & 0xffff_ffff_ffff_ffff

    def system_call(self, number, a, b, c):
        match number:
            case 1:  # write
                text = bytes(self.memory[b:b + c])
                # Without AMX, that is missing and nothing else.
                all_but_amx = b"has only avx512, avx2, sse2, scalar, AVX512-BF16;" in text
                self.skipped |= b"SKIPPED" in text and not all_but_amx
                return os.write(a, self.memory[b:b + c])
            case 20:  # writev
                pieces = [struct.unpack_from("<QQ", self.memory, b + 16 * i) for i in range(c)]
                return sum(os.write(a, self.memory[at:at + size]) for at, size in pieces)
            case 9:  # mmap
                at = self.mapped
                self.mapped += -(-b // PAGE) * PAGE
                if self.mapped > MEMORY:
                    sys.exit("emulate: the program takes more than a GiB")
                return at
            case 12:  # brk
                if HEAP <= a < MAPPINGS:
                    self.heap_end = a
                return self.heap_end
            case 158:  # arch_prctl
                if a == 0x1002:
                    self.put(FS_BASE, struct.pack("<Q", b))
                return 0
            case 228:  # clock_gettime
                self.put(b, struct.pack("<QQ", *divmod(time.monotonic_ns(), 10**9)))
                return 0
            case 79:  # getcwd
                self.put(a, b"/\0")
                return 2
            case 204:  # sched_getaffinity
                self.put(c, struct.pack("<Q", 1))
                return 8
            case 186 | 218:  # gettid, set_tid_address
                return 1
            case 60 | 231:  # exit, exit_group
                self.stop(a)
                return 0
            case 56 | 435:  # clone, clone3: without threads, tests run one after another
                return -EAGAIN
            case 2 | 4 | 21 | 89 | 257 | 262 | 332:  # whatever takes a path
                return -ENOENT
            case 16:  # ioctl
                return -ENOTTY
            case 7 | 10 | 11 | 13 | 14 | 24 | 28 | 131 | 202 | 273 | 302:
                # poll, mprotect, munmap, signals, yielding, advice, futexes, robust lists, limits
                return 0
            case _:
                return -ENOSYS


def initial_state(entry, stack):
    state = bochscpu.State()
    bochscpu.cpu.set_long_mode(state)
    # SSE, AVX and FSGSBASE, all of their state and that of tiles; no alignment checks.
    state.cr4 |= 1 << 9 | 1 << 10 | 1 << 16 | 1 << 18
    state.cr0 &= ~(1 << 18)
    state.xcr0, state.cr3 = 0x6_00e7, PAGE_TABLES
    state.mxcsr, state.mxcsr_mask, state.fpcw = 0x1f80, 0xffff, 0x37f
    for name, selector, attributes in [("cs", 8, 0xa09b), ("tr", 24, 0x8b)] + [
            (name, 16, 0xc093) for name in ("ds", "es", "ss", "fs", "gs")]:
        segment = bochscpu.Segment()
        segment.present, segment.selector, segment.attr = True, selector, attributes
        segment.base, segment.limit = (TSS, 103) if name == "tr" else (0, 0xffff_ffff)
        setattr(state, name, segment)
    for name, base in [("gdtr", GDT), ("idtr", IDT)]:
        table = bochscpu.GlobalSegment()
        table.base, table.limit = base, PAGE - 1
        setattr(state, name, table)
    state.lstar, state.star, state.sfmask = SYSTEM_CALL, 8 << 32, 0
    state.rip, state.rsp, state.rflags = entry, stack, 2
    return state


if __name__ == "__main__":
    machine = Machine(sys.argv[1], sys.argv[2:])
    status = machine.run()
    if status is None:
        sys.exit("emulate: the program did not come to its end")
    if machine.skipped or bool(machine.tiles.executed) != ("EMULATE_AMX" in os.environ):
        sys.exit("emulate: the program did not use what the CPU has")
    sys.exit(status)
