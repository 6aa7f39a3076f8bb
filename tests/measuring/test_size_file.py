"""size.json: what is used, of what, from a footprint."""

from pipeline.facts.records import from_json, json_bytes
from pipeline.measuring.footprint import Footprint, Symbol
from pipeline.measuring.footprint.size_file import Free, SizedLayer, SizeFile, size_file
from pipeline.measuring.footprint.stack import StackUse

SUPPORT = Symbol("__aeabi_lmul", 40, "code", ("__muldi3",))
FOOTPRINT = Footprint(
    code=1000, constants=300, data=24, bss=64, sections=(), symbols=(SUPPORT, Symbol("net__arena", 64, "ram")),
    float_symbols=("__adddf3",), heap_symbols=("malloc",), library_calls=(SUPPORT,),
    stack=StackUse(None, (), "recursion"),
)  # fmt: skip


def test_data_takes_of_flash_and_of_ram() -> None:
    document = size_file("gcc", FOOTPRINT, Free(4096, 512, None), [SizedLayer("fc", "dense_shift", 300)])
    assert (document.flash.used, document.flash.limit) == (1000 + 300 + 24, 4096)
    assert (document.ram.used, document.ram.limit) == (24 + 64, 512)
    assert (document.stack.worst_case, document.stack.limit, document.stack.unknown) == (None, None, "recursion")
    assert [(c.name, c.size) for c in document.library_calls] == [("__aeabi_lmul", 40)]
    assert [(s.name, s.kind) for s in document.symbols] == [("__aeabi_lmul", "code"), ("net__arena", "ram")]
    assert from_json(SizeFile, json_bytes(document), "size.json") == document
