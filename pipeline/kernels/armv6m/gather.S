@ Inputs from memory to words: shared by every packed layer.
#include "kernel_prefix.h"
#if defined(__thumb__)
    .file "gather.S"
#include "routine.inc"

    @ r0: int8 source, r1: int32 target, r2: count >= 0. Moves r0 and r1 on; r2-r9 are lost.
    function KERNEL(widen)
    movs r3, #7
    mov r4, r2
    ands r4, r3
    subs r2, r2, r4
    mov r9, r4
    adds r2, r0, r2
    mov r8, r2
    movs r2, #0
    movs r3, #1
    movs r4, #2
    movs r7, #3
    cmp r0, r8
    beq 2f
1:
    .rept 2
    ldrsb r5, [r0, r2]
    ldrsb r6, [r0, r3]
    stm r1!, {r5, r6}
    ldrsb r5, [r0, r4]
    ldrsb r6, [r0, r7]
    stm r1!, {r5, r6}
    adds r0, #4
    .endr
    cmp r0, r8
    bne 1b
2:
    mov r5, r9
    cmp r5, #0
    beq 5f
    lsrs r5, r5, #3
    bcc 3f
    ldrsb r5, [r0, r2]
    ldrsb r6, [r0, r3]
    stm r1!, {r5, r6}
    ldrsb r5, [r0, r4]
    ldrsb r6, [r0, r7]
    stm r1!, {r5, r6}
    adds r0, #4
3:
    mov r5, r9
    lsrs r5, r5, #2
    bcc 4f
    ldrsb r5, [r0, r2]
    ldrsb r6, [r0, r3]
    stm r1!, {r5, r6}
    adds r0, #2
4:
    mov r5, r9
    lsrs r5, r5, #1
    bcc 5f
    ldrsb r5, [r0, r2]
    stm r1!, {r5}
    adds r0, #1
5:
    bx lr
    end_function KERNEL(widen)

    @ r1: target, r4: count >= 0, r5: value. Moves r1 on; r4 is lost.
    function KERNEL(spread)
    cmp r4, #0
    beq 2f
1:
    stm r1!, {r5}
    subs r4, #1
    bne 1b
2:
    bx lr
    end_function KERNEL(spread)

    .set SHAPE_HEIGHT, 0
    .set SHAPE_LINE, 4
    .set SHAPE_ROW, 8
    .set SHAPE_DILATION, 12
    .set SHAPE_PADDING, 16
    .set G_BEGIN, 0
    .set G_COUNT, 4
    .set G_AFTER, 8
    .set G_SHAPE, 12
    .set G_X, 16
    .set G_Y, 20
    .set G_LEFT, 24
    .set G_TARGET, 28
    .set G_ROWS, 32

    @ Kernel rows of one window, padding where it leaves the image. r0: shape (image rows, bytes of one, bytes of a
    @ kernel row, image rows from one kernel row to the next, padding), r1: image, r2: image row of the first kernel
    @ row, r3: the window's first byte in an image row, r4: int32 target, r5: kernel rows. r0-r9 are lost.
    function KERNEL(gather)
    push {r0-r5, lr}
    sub sp, #12
    ldr r6, [r0, #SHAPE_ROW]
    rsbs r7, r3, #0
    bpl 1f
    movs r7, #0
1:
    cmp r7, r6
    ble 2f
    mov r7, r6
2:
    str r7, [sp, #G_BEGIN]
    ldr r0, [r0, #SHAPE_LINE]
    subs r0, r0, r3
    cmp r0, r6
    ble 3f
    mov r0, r6
3:
    cmp r0, r7
    bge 4f
    mov r0, r7
4:
    subs r1, r0, r7
    str r1, [sp, #G_COUNT]
    subs r6, r6, r0
    str r6, [sp, #G_AFTER]
5:
    ldr r3, [sp, #G_SHAPE]
    ldr r1, [sp, #G_TARGET]
    ldr r2, [sp, #G_Y]
    ldr r5, [r3, #SHAPE_PADDING]
    ldr r4, [r3, #SHAPE_HEIGHT]
    cmp r2, r4
    bhs 6f
    ldr r4, [sp, #G_BEGIN]
    bl KERNEL(spread)
    ldr r4, [r3, #SHAPE_LINE]
    muls r2, r4
    ldr r0, [sp, #G_X]
    adds r0, r0, r2
    ldr r4, [sp, #G_LEFT]
    adds r0, r0, r4
    ldr r4, [sp, #G_BEGIN]
    adds r0, r0, r4
    ldr r2, [sp, #G_COUNT]
    bl KERNEL(widen)
    ldr r3, [sp, #G_SHAPE]
    ldr r5, [r3, #SHAPE_PADDING]
    ldr r4, [sp, #G_AFTER]
    b 7f
6:
    ldr r4, [r3, #SHAPE_ROW]
7:
    bl KERNEL(spread)
    str r1, [sp, #G_TARGET]
    ldr r2, [sp, #G_Y]
    ldr r4, [r3, #SHAPE_DILATION]
    adds r2, r2, r4
    str r2, [sp, #G_Y]
    ldr r4, [sp, #G_ROWS]
    subs r4, #1
    str r4, [sp, #G_ROWS]
    bne 5b
    add sp, #12
    pop {r0-r5, pc}
    end_function KERNEL(gather)
#endif
