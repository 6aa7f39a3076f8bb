"""Cycles of one basic block: its instructions decoded with Capstone, each looked up in the core's table."""

from collections.abc import Mapping

import capstone
from capstone import arm

from pipeline.facts.cores import THUMB, Core, Cost
from pipeline.facts.errors import ChipfitError
from pipeline.measuring.machine_code.decoder import decoder
from pipeline.measuring.machine_code.family import BlockPrice

_ALU = frozenset(
    """
    adc adcs add adds addw adr and ands asr asrs bic bics cmn cmp eor eors lsl lsls lsr lsrs mov movs movt movw mvn
    mvns neg nop orn orns orr orrs rev rev16 revsh ror rors rsb rsbs sbc sbcs sub subs subw sxtb sxth tst uxtb uxth
    bfc bfi clz rbit rrx rrxs sbfx ssat ubfx usat teq pld
    """.split()
)
_MULTIPLY = frozenset({"mul", "muls"})
_MULTIPLY_ADD = frozenset({"mla", "mls"})
_LONG = frozenset({"smull", "umull"})
_LONG_ADD = frozenset({"smlal", "umlal"})
_DIVIDE = frozenset({"sdiv", "udiv"})
# Armv7E-M only, one cycle each.
_DSP = frozenset(
    """
    sel uxtab uxtah sxtab sxtah sxtb16 uxtb16 sxtab16 uxtab16 pkhbt pkhtb sadd8 sadd16 ssub8 ssub16 sasx ssax uadd8
    uadd16 usub8 usub16 uasx usax qadd qsub qdadd qdsub qadd8 qadd16 qsub8 qsub16 qasx qsax uqadd8 uqadd16 uqsub8
    uqsub16 uqasx uqsax shadd8 shadd16 shsub8 shsub16 shasx shsax uhadd8 uhadd16 uhsub8 uhsub16 uhasx uhsax ssat16
    usat16 usad8 usada8 smlabb smlabt smlatb smlatt smlad smladx smlsd smlsdx smuad smuadx smusd smusdx smulbb smulbt
    smultb smultt smlawb smlawt smulwb smulwt smmul smmulr smmla smmlar smmls smmlsr smlalbb smlalbt smlaltb smlaltt
    smlald smlaldx smlsld smlsldx umaal
    """.split()
)
_LOADS = frozenset({"ldr", "ldrb", "ldrh", "ldrsb", "ldrsh"})
_STORES = frozenset({"str", "strb", "strh"})
_SINGLES = _LOADS | _STORES
_BLOCKS = frozenset("ldm ldmia ldmdb stm stmia stmdb push pop ldrd strd".split())
_STATE = frozenset({"cpsid", "cpsie"})
_SYSTEM = frozenset({"mrs", "msr", "dmb", "dsb", "isb"})
_BRANCHES = frozenset({"bl", "blx", "bx"})
_KNOWN = frozenset().union(
    _ALU, _MULTIPLY, _MULTIPLY_ADD, _LONG, _LONG_ADD, _DIVIDE, _DSP, _SINGLES, _BLOCKS, _STATE, _SYSTEM, _BRANCHES
)
# All that Armv6-M has of 32 bits (DDI 0419, A5.3). Unicorn faults on the others, but runs IT, CBZ and CBNZ.
_WIDE_ARMV6M = _SYSTEM | {"bl"}
_NOTHING: Cost = (0, 0)


def price_block(code: bytes, address: int, core: Core, multiplier_cycles: int, conditional: int = 0) -> BlockPrice:
    """The price of the block `code` at `address`, whose first `conditional` instructions an IT instruction governs.

    Every instruction but the last runs straight through; `taken` is what the last adds when it jumps to anywhere
    but the next instruction. A conditional branch to its own next instruction cannot be told taken from untaken: it
    costs from untaken to taken. Instructions inside an IT block may be skipped for 1 cycle: their low bound. What
    runs before the block is not known, so a load or store that begins it may wait for its address.

    Raises ChipfitError for an instruction that the core does not have or the table does not know.
    """
    decoded = list(decoder(THUMB).disasm(code, address))
    if sum(i.size for i in decoded) != len(code):
        at = address + sum(i.size for i in decoded)
        raise ChipfitError(f"simulate: undecodable instruction at {at:#x}")
    low = high = 0
    extra = _NOTHING
    before: capstone.CsInsn | None = None
    for instruction in decoded:
        skippable = conditional > 0
        conditional -= skippable
        stay, extra = price(instruction, core, multiplier_cycles, skippable)
        low += min(1, stay[0]) if skippable else stay[0]
        high += stay[1]
        if _address_may_stall(before, instruction):
            high += core.costs.address_stall[1]
        if instruction.id == arm.ARM_INS_IT:
            conditional = len(instruction.mnemonic) - 1
        else:
            before = instruction
    return BlockPrice((low, high), extra, len(decoded), conditional)


def price(
    instruction: capstone.CsInsn, core: Core, multiplier_cycles: int, skippable: bool = False
) -> tuple[Cost, Cost]:
    """(cost when control falls through, what a taken exit adds) of one instruction; `skippable`: in an IT block."""
    base, costs = base_name(instruction), core.costs
    if not core.isa.thumb2 and _is_thumb2(instruction, base):
        raise _error(instruction, f"is no {core.isa.title} instruction: {core.name} faults on it")
    if base in ("cbz", "cbnz") or (instruction.id == arm.ARM_INS_B and instruction.cc != arm.ARM_CC_AL):
        if instruction.operands[-1].imm == instruction.address + instruction.size:
            return (costs.untaken[0], costs.branch[1]), _NOTHING
        return costs.untaken, _subtract(costs.branch, costs.untaken)
    cost, jumps = _cost(instruction, base, core, multiplier_cycles)
    if jumps and skippable:
        return costs.untaken, _subtract(cost, costs.untaken)
    return cost, _NOTHING


def may_be_unaligned(instruction: capstone.CsInsn) -> bool:
    """Whether an instruction loads or stores one value: on Armv7-M only these may make an unaligned access."""
    return base_name(instruction) in _SINGLES


def base_name(instruction: capstone.CsInsn) -> str:
    """The mnemonic without a width, and without the condition that Capstone appends inside IT blocks."""
    name: str = instruction.mnemonic.removesuffix(".w").removesuffix(".n")
    return name[:-2] if name not in _KNOWN and name[:-2] in _KNOWN else name


def _cost(instruction: capstone.CsInsn, base: str, core: Core, multiplier_cycles: int) -> tuple[Cost, bool]:
    """Cycles of an instruction that is executed, and whether it is a jump."""
    costs = core.costs
    if instruction.id == arm.ARM_INS_B:
        return costs.branch, True
    if base in _BRANCHES:
        return (costs.branch_link if base == "bl" else costs.branch_exchange), True
    if base in ("tbb", "tbh"):
        return costs.table_branch, True
    writes_pc = _writes_pc(instruction, base)
    if base in _BLOCKS:
        count, fixed = _register_count(instruction, base), costs.pop_pc if writes_pc else costs.block
        return (fixed[0] + count, fixed[1] + count), writes_pc
    if writes_pc:
        return (costs.load_pc if base in _LOADS else costs.branch), True
    if base in _MULTIPLY:
        return ((multiplier_cycles, multiplier_cycles) if core.slow_multiplier else costs.multiply), False
    if instruction.id == arm.ARM_INS_IT:
        return costs.if_then, False
    if base in _DSP and not core.isa.dsp:
        raise _error(instruction, f"is an instruction of Armv7E-M: {core.name} faults on it")
    simple: Mapping[frozenset[str], Cost] = {
        _ALU: costs.alu,
        _DSP: costs.alu,
        _MULTIPLY_ADD: costs.multiply_add,
        _LONG: costs.long_multiply,
        _LONG_ADD: costs.long_multiply_add,
        _DIVIDE: costs.divide,
        _LOADS: costs.load,
        _STORES: costs.store,
        _STATE: costs.state_change,
        _SYSTEM: costs.system,
    }
    for names, cost in simple.items():
        if base in names and cost != _NOTHING:
            return cost, False
    raise _error(instruction, f"has no known cost on {core.name}")


def _error(instruction: capstone.CsInsn, why: str) -> ChipfitError:
    text = f"{instruction.mnemonic} {instruction.op_str}".strip()
    return ChipfitError(f"simulate: {text} at {instruction.address:#x} {why}")


def _is_thumb2(instruction: capstone.CsInsn, base: str) -> bool:
    if instruction.size == 4:
        return base not in _WIDE_ARMV6M
    return base in ("cbz", "cbnz") or instruction.id == arm.ARM_INS_IT


def _address_may_stall(before: capstone.CsInsn | None, instruction: capstone.CsInsn) -> bool:
    """Whether a load or store may wait for its address, or for the fetch unit when it reads a literal."""
    base = base_name(instruction)
    if base in ("push", "pop"):
        needed = {arm.ARM_REG_SP}
    elif base in _SINGLES | _BLOCKS:
        memory = [o.mem for o in instruction.operands if o.type == arm.ARM_OP_MEM]
        needed = {r for m in memory for r in (m.base, m.index) if r} or {instruction.operands[0].reg}
    else:
        return False
    if before is None or arm.ARM_REG_PC in needed:
        return True
    return not needed.isdisjoint(before.regs_access()[1])


def _subtract(a: Cost, b: Cost) -> Cost:
    return (a[0] - b[0], a[1] - b[1])


def _register_count(instruction: capstone.CsInsn, base: str) -> int:
    registers = sum(o.type == arm.ARM_OP_REG for o in instruction.operands)
    if base in ("push", "pop"):
        return registers
    return 2 if base in ("ldrd", "strd") else registers - 1


def _writes_pc(instruction: capstone.CsInsn, base: str) -> bool:
    if base.startswith(("push", "st", "cmp", "cmn", "tst", "teq", "pld")):
        return False
    registers = [o.reg for o in instruction.operands if o.type == arm.ARM_OP_REG]
    return arm.ARM_REG_PC in (registers if base.startswith(("pop", "ldm")) else registers[:1])
