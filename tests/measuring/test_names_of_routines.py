"""Names of soft-float and heap routines: those of the EABI's tables, and nothing that only looks like one."""

import pytest

from pipeline.measuring.footprint.names import is_float, is_heap

# Run-time ABI for the Arm Architecture (IHI 0043), tables 2 to 8.
EABI_FLOAT = """dadd ddiv dmul drsub dsub cdcmpeq cdrcmple cdcmple dcmpeq dcmplt dcmple dcmpge dcmpgt dcmpun fadd fdiv
fmul frsub fsub cfcmpeq cfrcmple cfcmple fcmpeq fcmplt fcmple fcmpge fcmpgt fcmpun d2iz d2uiz d2lz d2ulz f2iz f2uiz f2lz
f2ulz d2f f2d h2f f2h f2h_alt h2f_alt i2d ui2d l2d ul2d i2f ui2f l2f ul2f""".split()
# Tables 9 and 10, and the memory functions: integers.
EABI_OTHER = """lmul ldivmod uldivmod llsl llsr lasr lcmp ulcmp idiv uidiv idivmod uidivmod idiv0 ldiv0 uread4 uwrite4
uread8 uwrite8 memcpy memcpy4 memmove8 memset memclr4 read_tp""".split()


@pytest.mark.parametrize("name", EABI_FLOAT)
def test_every_float_routine_of_the_abi_is_one(name: str) -> None:
    assert is_float(f"__aeabi_{name}") and not is_heap(f"__aeabi_{name}")


@pytest.mark.parametrize("name", EABI_OTHER)
def test_no_integer_routine_of_the_abi_is_a_float_one(name: str) -> None:
    assert not is_float(f"__aeabi_{name}")


@pytest.mark.parametrize(
    "name",
    """__adddf3 __subsf3 __muldf3 __divsf3 __negdf2 __eqdf2 __unordsf2 __powisf2 __powidf2 __floatsisf __floatundidf
    __fixdfsi __fixunssfdi __extendsfdf2 __truncdfsf2 __muldc3 sqrtf expf log2 floorf lroundf sinh atan2f""".split(),
)
def test_names_of_libgcc_and_of_the_mathematics_are_float(name: str) -> None:
    assert is_float(name)


@pytest.mark.parametrize(
    "name", "__muldi3 __divsi3 __udivmoddi4 __clzsi2 __ashldi3 net_run explain logs rounded".split()
)
def test_integers_and_words_that_begin_alike_are_not(name: str) -> None:
    assert not is_float(name) and not is_heap(name)


@pytest.mark.parametrize("name", "malloc _malloc_r calloc free _free_r realloc _sbrk sbrk _Znwj _ZdlPv _ZdaPvj".split())
def test_a_heap_is_recognized(name: str) -> None:
    assert is_heap(name) and not is_float(name)


@pytest.mark.parametrize("name", "freeze free_ram net_malloc mallocs".split())
def test_a_name_that_contains_one_is_none(name: str) -> None:
    assert not is_heap(name)
