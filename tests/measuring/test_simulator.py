"""The emulated chip faults where the real one would, keeps runs apart, and notices what the caller would suffer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from assembly import FLASH, RAM, link, run

from pipeline.facts.errors import ChipfitError
from pipeline.measuring.footprint import measure
from pipeline.measuring.simulator import FlashTiming, Target, simulate
from pipeline.measuring.toolchain.process import cache_folder

M0 = Target("cortex-m0", FLASH, RAM)


def function(body: str, name: str = "f_run") -> str:
    return f"function {name}\n {body}\n bx lr\n .pool\n .size {name}, . - {name}\n"


# Encodings, since the assembler refuses them for the core.
ARMV7M = {
    "clz": ".short 0xfab0, 0xf080",
    "udiv": ".short 0xfbb0, 0xf0f1",
    "movw": ".short 0xf241, 0x0000",
    "add.w": ".short 0xf102, 0x0201",
    "cbz": "movs r2, #0\n .short 0xb102\n nop",
    "ite": ".short 0xbf0c\n nop\n nop",
}


@pytest.mark.parametrize("name", ARMV7M)
@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m0plus"])
def test_code_for_armv7m_does_not_pass_on_armv6m(name: str, core: str, tmp_path: Path) -> None:
    with pytest.raises(ChipfitError, match=rf"{name} .*(Invalid instruction|no Armv6-M instruction)"):
        run(function(ARMV7M[name]), tmp_path, core)


@pytest.mark.parametrize("body", [".short 0xfb22, 0x2203", ".short 0xfa82, 0xf283"])  # smlad, qadd
def test_code_for_armv7em_does_not_pass_on_cortex_m3(body: str, tmp_path: Path) -> None:
    assert run(function(body), tmp_path / "m4", "cortex-m4").total.zero_wait == (1 + 2, 1 + 4)
    with pytest.raises(ChipfitError, match=r"cortex-m3 faults on it|Invalid instruction"):
        run(function(body), tmp_path / "m3", "cortex-m3")


def test_more_calls_than_layers_are_an_error(tmp_path: Path) -> None:
    source = "function f_run\n push {r4, lr}\n bl f_leaf\n bl f_leaf\n pop {r4, pc}\n .size f_run, . - f_run\n"
    source += function("nop", "f_leaf")
    assert len(run(source, tmp_path, layers=5).layers) == 2
    with pytest.raises(ChipfitError, match="could not attribute"):
        run(source, tmp_path, layers=1)


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4"])
def test_runs_that_differ_are_counted_each(core: str, tmp_path: Path) -> None:
    """Two loops of the same length in other order, a longer one, and an address that only one input makes odd."""
    body = "ldrb r2, [r0]\n ldrb r3, [r0, #1]\n ldrb r4, [r0, #2]\n push {r4}\n add r4, sp\n pop {r5}\n"
    loops = "1: ldr r5, =0x12345\n subs r2, #1\n bne 1b\n 2: nop\n nop\n subs r3, #1\n bne 2b\n"
    load = " sub sp, #8\n ldr r5, [r4]\n add sp, #8\n" if core == "cortex-m4" else ""
    source = function(f"push {{r4, r5}}\n {body}{loops}{load} pop {{r4, r5}}\n strb r2, [r1]")
    given = [bytes(x) for x in ((3, 9, 0), (9, 3, 0), (3, 9, 0), (3, 12, 0), (3, 9, 1))]
    target = Target(core, FLASH, RAM, timing=FlashTiming(2, 8))
    elf = link(source, tmp_path, core)
    together = simulate(elf, target, "f_run", 0, [[x] for x in given], [1])
    apart = [simulate(elf, target, "f_run", 0, [[x]], [1])[0] for x in given]
    assert together == apart
    assert together[0] == together[2] and together[0].total != together[1].total != together[3].total


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"no ELF at all" * 10])
def test_a_file_that_is_no_image_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "broken.elf").write_bytes(content)
    with pytest.raises(ChipfitError, match=r"broken.elf is not a linked image"):
        simulate(tmp_path / "broken.elf", M0, "f_run", 0, [], [])


def test_an_entry_that_is_missing_or_has_no_size_is_one_sentence(tmp_path: Path) -> None:
    elf = link("function f_run\n bx lr\n", tmp_path)
    for entry in ("f_run", "g_run"):
        with pytest.raises(ChipfitError, match=f"{entry} is not a function in the linked image"):
            simulate(elf, M0, entry, 0, [[bytes(16)]], [16])


def _load_counter(cache: Path) -> "subprocess.Popen[str]":
    code = "from pipeline.measuring.native import library; print(library()._name)"
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, text=True, stdout=subprocess.PIPE)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the cache folder is moved by XDG_CACHE_HOME")
def test_the_counter_is_built_by_two_processes_at_once_or_without_a_cache_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "chipfit").mkdir(mode=0o700)
    # Zig's own cache: only the third builds the C library, too.
    (cache_folder() / "zig").mkdir(exist_ok=True)
    (tmp_path / "chipfit" / "zig").symlink_to(cache_folder() / "zig")
    processes = [_load_counter(tmp_path), _load_counter(tmp_path), _load_counter(tmp_path / "file")]
    first, second, apart = (p.communicate()[0] for p in processes)
    assert [p.returncode for p in processes] == [0, 0, 0]
    assert first == second != apart and "blockcount-" in apart
    assert len(list((tmp_path / "chipfit").glob("blockcount-*.so"))) == 1


FROM_RAM = """
.section .ramfunc, "ax", %progbits
.balign 4
.type f_fast, %function
.thumb_func
f_fast:
 ldr r2, =0x12345678
 adds r2, #1
 bx lr
 .pool
 .size f_fast, . - f_fast
function f_run
 push {r4, lr}
 ldr r3, =f_fast
 blx r3
 pop {r4, pc}
 .pool
 .size f_run, . - f_run
"""


def test_code_in_ram_is_copied_there_and_fetched_without_waits(tmp_path: Path) -> None:
    # From RAM: ldr literal 2, adds 1, bx 3. From flash: push 3, ldr 2, blx 3, pop 6.
    ideal = run(FROM_RAM, tmp_path, layers=1).total
    assert ideal.zero_wait == (2 + 1 + 3 + 14, 2 + 1 + 3 + 14)
    waiting = run(FROM_RAM, tmp_path, layers=1, timing=FlashTiming(1, prefetch=True))
    # What runs from RAM waits for nothing: neither fetches nor its literal, nor the read ahead that bx discards.
    assert (waiting.layers[0].zero_wait, waiting.layers[0].low) == ((6, 6), 6)
    assert waiting.layers[0].high == 6


def test_code_in_ram_takes_of_flash_and_of_ram(tmp_path: Path) -> None:
    footprint = measure(link(FROM_RAM, tmp_path), "f_run", "f_")
    # f_fast: three half-words and a half-word of padding, then its literal. f_run: four half-words and a literal.
    assert (footprint.code, footprint.data, footprint.bss) == (12, 12, 0)
    assert (footprint.flash, footprint.ram) == (24, 12)
    assert not footprint.stack.unknown
