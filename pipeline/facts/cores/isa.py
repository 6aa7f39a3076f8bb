"""Instruction sets, as plain values: what holds for every core that has one."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CallingConvention:
    """Registers by name, and their roles in a call."""

    arguments: tuple[str, ...]
    callee_saved: tuple[str, ...]
    """Registers that have their values again when a function returns."""
    caller_saved: tuple[str, ...]
    """Registers that a call may change."""
    stack_pointer: str
    link: str
    """Register that holds the return address."""
    stack_alignment: int
    """The stack pointer at a call is a multiple of this many bytes."""


@dataclass(frozen=True, kw_only=True)
class MachineCode:
    """Encoding of a family of instruction sets: its names in decoders, emulators and file formats.

    `unicorn` and `capstone` are (architecture, modes) by the names of their constants.
    """

    name: str
    unicorn: tuple[str, tuple[str, ...]]
    capstone: tuple[str, tuple[str, ...]]
    instruction: int
    """Bytes of the shortest instruction; a call is two of them."""
    code_bit: int
    """Bit of a code address that marks this instruction set."""
    program_counter: str
    branch_to_self: bytes
    """Code of a branch to its own address."""
    elf_machine: str
    """The machine in an ELF header, by its name in pyelftools."""
    mapping_symbol: str
    """Symbol that marks where code begins (data: $d)."""
    convention: CallingConvention


@dataclass(frozen=True, kw_only=True)
class Isa:
    """An instruction set; `name` is that of its folders of kernels and variants, `title` its name in manuals."""

    name: str
    title: str
    code: MachineCode
    kernels: tuple[str, ...]
    """Folders of generating/kernels in which a kernel is searched; the first that has it wins."""
    macro: str
    """Preprocessor macro that compilers define for targets of this instruction set."""
    gcc: str
    """The command of GCC's cross compiler."""
    flags: tuple[str, ...]
    """Flags for every compiler."""
    zig_target: str
    unaligned_access: bool
    """Whether a load or store of one value may be unaligned: otherwise it faults."""
    thumb2: bool = False
    """Whether it has IT, CBZ, CBNZ and the instructions of 32 bits beyond BL, MRS, MSR and barriers."""
    dsp: bool = False
    """Whether it has packed and saturating arithmetic."""


_AAPCS32 = CallingConvention(  # Procedure Call Standard for the Arm Architecture (IHI 0042), 6.1.1 and 6.2.1.2
    arguments=("r0", "r1", "r2", "r3"),
    callee_saved=("r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11"),
    caller_saved=("r0", "r1", "r2", "r3", "r12", "lr"),
    stack_pointer="sp",
    link="lr",
    stack_alignment=8,
)
THUMB = MachineCode(
    name="thumb",
    # Not MCLASS: with it Unicorn 2.1 takes a Cortex-M33 whatever model is asked for.
    unicorn=("ARM", ("THUMB",)),
    capstone=("ARM", ("THUMB", "MCLASS")),
    instruction=2,
    code_bit=1,
    program_counter="pc",
    branch_to_self=b"\xfe\xe7",
    elf_machine="EM_ARM",
    mapping_symbol="$t",
    convention=_AAPCS32,
)


def _thumb(name: str, title: str, *kernels: str, thumb2: bool, dsp: bool = False) -> Isa:
    return Isa(
        name=name,
        title=title,
        code=THUMB,
        kernels=(*kernels, "portable"),
        macro="__thumb__",
        gcc="arm-none-eabi-gcc",
        flags=("-mthumb", "-mfloat-abi=soft"),
        zig_target="thumb-freestanding-eabi",
        unaligned_access=thumb2,
        thumb2=thumb2,
        dsp=dsp,
    )


ARMV6M = _thumb("armv6m", "Armv6-M", "armv6m", thumb2=False)
ARMV7M = _thumb("armv7m", "Armv7-M", thumb2=True)
ARMV7EM = _thumb("armv7em", "Armv7E-M", thumb2=True, dsp=True)
