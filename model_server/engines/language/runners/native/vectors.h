// Functions on many floats at a time, by the instructions that the compiler was told to use.
#pragma once

#if defined(__AVX512VNNI__)
#include "avx512.h"
#else
#include "avx2.h"
#endif

#include <cstddef>

inline int round_up(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

// e^x for each lane with a relative error below 3e-7; x is clamped to where the result is a normal number.
inline Floats exponential(Floats x) {
    x = maximum(minimum(x, broadcast(88.0f)), broadcast(-87.0f));
    const Floats power = round_to_whole(x * broadcast(1.44269504f));
    // ln 2 is subtracted in two parts, so that the remainder keeps its last bits.
    Floats rest = subtract_product(power, broadcast(0.693359375f), x);
    rest = subtract_product(power, broadcast(-2.12194440e-4f), rest);
    Floats series = broadcast(1.0f / 720);
    for (const float factor : {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f})
        series = multiply_add(series, rest, broadcast(factor));
    return scale_by_power(series, power);
}

// x / (1 + e^-x)
inline Floats silu(Floats x) { return x / (broadcast(1.0f) + exponential(broadcast(0.0f) - x)); }
