"""Unit constants. Inside the simulator times are seconds, sizes bytes, work FLOP."""

US = 1e-6
"""One microsecond in seconds."""

MS = 1e-3
"""One millisecond in seconds."""

HOUR_S = 3600.0
"""One hour in seconds."""

DAY_HOURS = 24
"""Hours of a day."""

MEGA = 1e6
GIGA = 1e9
TERA = 1e12

KIB = 2**10
"""Bytes in a kibibyte."""

GIB = 2**30

BYTES_PER_WEIGHT = {
    "bfloat16": 2.0,
    "fp8": 1.0,
    "fp8_block": 1.0 + 4.0 / (128 * 128),
    "int4_wo": 0.5 + 2.0 / 128,
    "w4a16_mxfp4": 0.5 + 1.0 / 32,
    "w4a8_mxfp4_mxfp8": 0.5 + 1.0 / 32,
    "nvfp4": 0.5 + 1.0 / 16,
}
"""Bytes that one stored weight takes, its block scales included, by the tables' dtype names.

Block sizes: fp8_block has one fp32 scale per 128x128 block (DeepSeek-V3 report, 3.3.2), int4_wo
one bf16 scale per group of 128 (AWQ/GPTQ default), mxfp4 one 8-bit scale per 32 (OCP MX v1.0),
nvfp4 one fp8 scale per 16 (NVIDIA Blackwell architecture brief).
"""
