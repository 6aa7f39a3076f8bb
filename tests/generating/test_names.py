"""Names of files: of a kernel's source only its includes change."""

from pipeline.generating.kernel_files import KERNELS
from pipeline.generating.names import inner, with_inner_includes


def test_two_products_have_no_file_in_common_however_their_names_begin() -> None:
    names = [p.name for p in KERNELS.rglob("*.*")]
    products = ("touch", "touch_dense", "dense", "kernel")
    files_by_product = [{inner(p, n) for n in names} for p in products]
    assert names and len(set().union(*files_by_product)) == sum(len(m) for m in files_by_product)


def test_of_a_kernels_source_only_the_names_of_included_files_change() -> None:
    for path in (KERNELS / "portable").glob("*.c"):
        before = path.read_bytes()
        after = with_inner_includes(before, "net")
        assert after.replace(b'#include "net__', b'#include "') == before
        assert after.count(b'#include "net__') == before.count(b'#include "') > 0
    assert with_inner_includes(b'#include <stdint.h>\n// #include "a.h"\n', "net").count(b"net__") == 0
