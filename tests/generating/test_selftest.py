"""The self-test: vectors as numbers, and who passes what to the run function."""

import numpy as np
from samples_of_calls import dense, linear_call, program

from pipeline.generating.ports import ports_of
from pipeline.generating.selftest import SelfTest, Vectors, selftest_of
from pipeline.planning.plan import Location

VECTORS = Vectors((np.arange(48, dtype=np.int8).reshape(2, 1, 3, 4, 2),), (np.arange(12).reshape(2, 1, 6) - 6,))


def selftest(x: Location, y: Location) -> SelfTest:
    return selftest_of("net", ports_of(program(linear_call(dense(np.ones((6, 2)))), {"x": x, "y": y})), VECTORS)


def test_every_vector_is_one_list_of_numbers() -> None:
    test = selftest(Location("input"), Location("output"))
    assert [e.array for e in test.arrays] == ["net__input_vectors", "net__output_vectors"]
    x, y = test.arrays
    assert [", ".join(v).split(", ") for v in x.vectors] == [[str(n) for n in range(k, k + 24)] for k in (0, 24)]
    assert y.vectors == (("-6, -5, -4, -3, -2, -1",), ("0, 1, 2, 3, 4, 5",))


def test_memory_of_the_library_is_no_argument() -> None:
    callers = selftest(Location("input"), Location("output"))
    assert callers.arguments == "net__input_vectors[v], got_output" and callers.owned == ()
    owned = selftest(Location("arena"), Location("arena", 24))
    assert owned.arguments == "" and [e.port.name for e in owned.owned] == ["input"]
    assert [e.port.name for e in owned.outputs] == ["output"]
