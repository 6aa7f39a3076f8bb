"""Thumb, the machine code of every M-profile core: Armv6-M, Armv7-M and Armv7E-M differ in what they have of it."""

from pipeline.facts.cores import THUMB as CODE
from pipeline.measuring.thumb.decoding import decode
from pipeline.measuring.thumb.fault import fault
from pipeline.measuring.thumb.pricing import may_be_unaligned, price_block
from pipeline.measuring.thumb.walk import walk

__all__ = ["CODE", "decode", "fault", "may_be_unaligned", "price_block", "walk"]
