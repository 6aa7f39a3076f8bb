"""The price of one basic block: its instructions decoded with Capstone, each looked up in the core's table."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import capstone
from capstone import arm

from pipeline.errors import ChipfitError
from pipeline.simulator.cores import Core, Cost

_ALU = frozenset(
    """
    adc adcs add adds addw adr and ands asr asrs bic bics cmn cmp eor eors lsl lsls lsr lsrs mov movs movt movw mvn
    mvns neg nop orn orr orrs rev rev16 revsh ror rors rsb rsbs sbc sbcs sub subs subw sxtb sxth tst uxtb uxth bfc
    bfi clz it ite itt itte ittt itee iteee iteet itet itete itett itte ittee ittet ittte itttt rbit rrx sbfx ssat
    ubfx usat teq sel uxtab uxtah sxtab sxtah sxtb16 uxtb16 sxtab16 uxtab16 pkhbt pkhtb sadd8 sadd16 ssub8 ssub16
    uadd8 uadd16 usub8 usub16 qadd qsub qadd8 qadd16 qsub8 qsub16 shadd8 shadd16 uhadd8 uhadd16 ssat16 usat16 usad8
    """.split()
)
_MULTIPLY = frozenset({"mul", "muls"})
_MULTIPLY_ADD = frozenset(
    """
    mla mls smlabb smlabt smlatb smlatt smlad smladx smlsd smuad smuadx smusd smulbb smulbt smultb smultt smlawb
    smlawt smulwb smulwt smmul smmulr smmla smmlar usada8
    """.split()
)
_LONG = frozenset({"smull", "umull"})
_LONG_ADD = frozenset("smlal umlal smlalbb smlalbt smlaltb smlaltt smlald smlaldx umaal".split())
_DIVIDE = frozenset({"sdiv", "udiv"})
_LOADS = frozenset({"ldr", "ldrb", "ldrh", "ldrsb", "ldrsh"})
_STORES = frozenset({"str", "strb", "strh"})
_BLOCKS = frozenset(
    """
    ldm ldmia ldmdb stm stmia stmdb push pop ldrd strd
    """.split()
)
_SYSTEM = frozenset({"mrs", "msr", "dmb", "dsb", "isb", "cpsid", "cpsie"})


@dataclass(frozen=True)
class BlockPrice:
    """Cycles of one pass with no taken exit, what a taken exit adds, instructions, and 32-bit words fetched."""

    stay: Cost
    taken: Cost
    instructions: int
    words: int


@cache
def decoder() -> capstone.Cs:
    """Thumb for M-profile, with operand details."""
    made = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    made.detail = True
    return made


def price_block(code: bytes, address: int, core: Core, multiplier_cycles: int) -> BlockPrice:
    """Price the bytes of one block at `address`.

    Every instruction but the last runs straight through; `taken` is what the last adds when it leaves for anywhere
    but the next instruction. (A branch to its own next instruction is therefore priced as untaken; compilers emit
    none.) Instructions inside an IT block may be skipped for 1 cycle: their low bound. Raises ChipfitError for an
    instruction that the table does not know.
    """
    decoded = list(decoder().disasm(code, address))
    if sum(i.size for i in decoded) != len(code):
        at = address + sum(i.size for i in decoded)
        raise ChipfitError(f"simulate: undecodable instruction at {at:#x}")
    low = high = conditional = 0
    extra: Cost = (0, 0)
    for position, instruction in enumerate(decoded):
        stay, taken = price(instruction, core, multiplier_cycles)
        skippable = conditional > 0
        conditional -= skippable
        if instruction.mnemonic.startswith("it") and instruction.id == arm.ARM_INS_IT:
            conditional = len(instruction.mnemonic) - 1
        low += 1 if skippable else stay[0]
        high += stay[1]
        if position == len(decoded) - 1:
            extra = taken
    first, last = address // 4, (address + len(code) - 1) // 4
    return BlockPrice((low, high), extra, len(decoded), last - first + 1)


def price(instruction: capstone.CsInsn, core: Core, multiplier_cycles: int) -> tuple[Cost, Cost]:
    """(cost when control falls through, what a taken exit adds) of one instruction."""
    name = instruction.mnemonic.removesuffix(".w").removesuffix(".n")
    nothing: Cost = (0, 0)
    writes_pc = _writes_pc(instruction)
    if name in ("b", "bl", "blx", "bx") or name.startswith("b."):
        return _branch(name, core)
    if instruction.id == arm.ARM_INS_B:
        return core.untaken, _less(core.branch, core.untaken)
    if name in ("cbz", "cbnz"):
        return core.untaken, _less(core.branch, core.untaken)
    if name in ("tbb", "tbh"):
        return (2 + core.branch[0], 2 + core.branch[1]), nothing
    base = _base(name, instruction.id)
    if base in _BLOCKS:
        count = _registers(instruction, base)
        if writes_pc:
            return (core.pop_pc[0] + count, core.pop_pc[1] + count), nothing
        return (core.block[0] + count, core.block[1] + count), nothing
    if writes_pc and base in _LOADS:
        return core.load_pc, nothing
    if writes_pc:
        return core.branch, nothing
    simple: Mapping[frozenset[str], Cost] = {
        _ALU: core.alu,
        _MULTIPLY_ADD: core.multiply_add,
        _LONG: core.long_multiply,
        _LONG_ADD: core.long_multiply_add,
        _DIVIDE: core.divide,
        _LOADS: core.load,
        _STORES: core.store,
        _SYSTEM: core.system,
    }
    if base in _MULTIPLY:
        return (core.multiply if core.armv7m else (multiplier_cycles, multiplier_cycles)), nothing
    for names, cost in simple.items():
        if base in names and cost != nothing:
            return cost, nothing
    raise ChipfitError(
        f"simulate: no cost is known for {instruction.mnemonic} {instruction.op_str} at {instruction.address:#x} "
        f"on {core.name}"
    )


def _branch(name: str, core: Core) -> tuple[Cost, Cost]:
    kinds = {
        "b": core.branch,
        "bl": core.branch_link,
        "blx": core.branch_exchange,
        "bx": core.branch_exchange,
    }
    return kinds[name], (0, 0)


def _base(name: str, identity: int) -> str:
    """The mnemonic without a condition suffix (inside IT blocks Capstone appends one)."""
    known = _ALU | _MULTIPLY | _MULTIPLY_ADD | _LONG | _LONG_ADD | _DIVIDE | _LOADS | _STORES | _BLOCKS | _SYSTEM
    if name in known:
        return name
    return name[:-2] if name[:-2] in known else name


def _less(a: Cost, b: Cost) -> Cost:
    return (a[0] - b[0], a[1] - b[1])


def _registers(instruction: capstone.CsInsn, base: str) -> int:
    registers = sum(o.type == arm.ARM_OP_REG for o in instruction.operands)
    if base in ("push", "pop"):
        return registers
    return 2 if base in ("ldrd", "strd") else registers - 1


def _writes_pc(instruction: capstone.CsInsn) -> bool:
    if instruction.mnemonic.startswith("push"):
        return False
    operands = instruction.operands
    if instruction.mnemonic.startswith(("pop", "ldm")):
        return any(o.type == arm.ARM_OP_REG and o.reg == arm.ARM_REG_PC for o in operands)
    stores = instruction.mnemonic.startswith(("st", "cmp", "cmn", "tst", "teq"))
    return bool(operands) and not stores and operands[0].type == arm.ARM_OP_REG and operands[0].reg == arm.ARM_REG_PC
