"""Symbol names that show that floating point or a heap is linked in."""

import re

# Run-time ABI for the Arm Architecture (IHI 0043), 4.1.2: __aeabi_dadd, __aeabi_cfcmple, __aeabi_i2f, __aeabi_f2iz...
# and the names of libgcc and compiler-rt for the same: __adddf3, __floatsisf, __fixunsdfdi, __extendsfdf2...
_FLOAT = re.compile(
    r"__aeabi_(c?[fd]\w+|(u?[il]|h)2[fd]\w*)"
    r"|__(add|sub|mul|div|neg|cmp|eq|ne|lt|le|gt|ge|unord|powi)[hsdtx]f(2|3|i2)?(vfp)?"
    r"|__(mul|div)[hsdtx]c3|__(extend|trunc)\w*[hsdtx]f2?\w*|__(fix|float)\w+|__gnu_[fh]2[fh]_ieee"
    r"|(a?(sin|cos|tan)h?|atan2|exp|exp2|expm1|log|log2|log10|log1p|sqrt|cbrt|pow|fma|floor|ceil|trunc|l?l?round|"
    r"l?l?rint|nearbyint|fabs|fmax|fmin|fmod|ldexp|frexp|scalbn|sincos|erf|hypot)[fl]?"
)
_HEAP = re.compile(
    r"_?(malloc|calloc|realloc|free)(_r)?|memalign|aligned_alloc|posix_memalign|_?sbrk(_r)?"
    r"|_Zn[wa][jm]\w*|_Zd[la]P\w*"
)


def is_float(name: str) -> bool:
    """Whether a symbol is a soft-float routine of the compiler's, or of the C library's mathematics."""
    return _FLOAT.fullmatch(name) is not None


def is_heap(name: str) -> bool:
    """Whether a symbol is part of a heap: malloc and its kin, sbrk, C++'s new and delete."""
    return _HEAP.fullmatch(name) is not None
