"""The instruction at an address of an emulated chip, and none where nothing is mapped."""

from thumb_code import half_words

from pipeline.facts.cores import CORES, THUMB
from pipeline.measuring.machine_code.decoder import decoder, instruction_at
from pipeline.measuring.machine_code.engine import new_engine


def test_an_instruction_is_read_from_memory_with_its_operands() -> None:
    engine = new_engine(CORES["cortex-m0"])
    engine.mem_map(0x1000, 0x1000)
    engine.mem_write(0x1000, half_words(0x684A, 0xF000, 0xF800))
    load, call = instruction_at(engine, 0x1000, THUMB), instruction_at(engine, 0x1002, THUMB)
    assert load is not None and (load.mnemonic, load.op_str, len(load.operands)) == ("ldr", "r2, [r1, #4]", 2)
    assert call is not None and (call.mnemonic, call.size) == ("bl", 4)
    assert instruction_at(engine, 0x5000, THUMB) is None


def test_a_decoder_is_made_once() -> None:
    assert decoder(THUMB) is decoder(THUMB)
