// Products of packed weights and 8-bit activations: exact within a group of inputs, and then summed in float.
//
// Each number of a product is computed from its own row and column in a fixed order, so that other rows do not change
// it by a bit.
#pragma once

#include <utility>

#include "formats.h"

constexpr int kKernelRows = 8;  // the most rows that meet a vector of weights while it is in a register
constexpr int kPrefetchBytes = 12288;  // how far ahead weights are fetched from memory: a unit of 256 inputs or so

struct Matrix {
    int type;  // as in the file
    const uint8_t* data;
    int outputs, inputs;

    int tiles() const { return (outputs + kColumns - 1) / kColumns; }
};

// How activations are rounded for the matrices that read them.
struct Rounding {
    bool halves;     // with a scale for each half of a group of 32, not one for both
    bool to_minus_128;  // the largest number of a scale becomes -128, not 127 or -127, so that steps are smaller
};

// Weights that have a scale for each half of a group make finer activations free. Beside weights of 8 bits, AVX2 has
// room for activations up to 127 alone.
inline Rounding rounding_for(int type) {
    Rounding rounding = {};
    visit_format(type, [&](auto tag) {
        using Format = typename decltype(tag)::type;
        rounding = {Format::kScales == 2, Format::kBits < 8};
    });
    return rounding;
}

// For several matrices that read the same activations.
template <class... Matrices>
Rounding shared_rounding(const Matrices&... matrices) {
    return {(rounding_for(matrices.type).halves && ...), (rounding_for(matrices.type).to_minus_128 && ...)};
}

// Rows of quantised activations: each half of a group of 32 is divided by its own scale, or both by the same one.
struct Rows {
    int8_t* values;          // [rows][stride]
    float* scales;           // [rows][groups][2]: of each half of a group
    float* totals;           // [rows][groups]: the sum of a group, times its scales
    int32_t* negative_sums;  // [rows][groups][3]: minus the sums of each half of a group, and of all of it
    int groups;
    int stride;

    void quantise(int row, int group, const float* from, Rounding rounding) {
        constexpr int kParts = kGroup / kLanes;
        Floats parts[kParts], largest[2] = {broadcast(0.0f), broadcast(0.0f)};
        for (int i = 0; i < kParts; ++i) {
            parts[i] = load(from + i * kLanes);
            largest[2 * i / kParts] = maximum(largest[2 * i / kParts], magnitude(parts[i]));
        }
        if (!rounding.halves) largest[0] = maximum(largest[0], largest[1]);
        float bounds[2], steps[2] = {127.0f, 127.0f};
        for (int half = 0; half < 2; ++half)
            bounds[half] = half && !rounding.halves ? bounds[0] : maximum(largest[half]);
        if (rounding.to_minus_128) {
            bool positive[2] = {};
            for (int i = 0; i < kParts; ++i) positive[2 * i / kParts] |= any_equal(parts[i], bounds[2 * i / kParts]);
            if (!rounding.halves) positive[0] = positive[1] = positive[0] || positive[1];
            for (int half = 0; half < 2; ++half) steps[half] = positive[half] ? -128.0f : 128.0f;
        }
        const size_t place = static_cast<size_t>(row) * groups + group;
        Ints all[2] = {broadcast_int(0), broadcast_int(0)};
        for (int i = 0; i < kParts; ++i) {
            const int half = 2 * i / kParts;
            const Floats factor = broadcast(bounds[half] > 0 ? steps[half] / bounds[half] : 0.0f);
            const Ints whole = minimum(to_nearest_ints(parts[i] * factor), broadcast_int(127));
            store_as_bytes(values + static_cast<size_t>(row) * stride + group * kGroup + i * kLanes, whole);
            all[half] = add(all[half], whole);
        }
        const int sums[2] = {sum(all[0]), sum(all[1])};
        const float scale[2] = {bounds[0] / steps[0], bounds[1] / steps[1]};
        totals[place] = 0;
        for (int half = 0; half < 2; ++half) {
            scales[2 * place + half] = scale[half];
            totals[place] += scale[half] * static_cast<float>(sums[half]);
            negative_sums[3 * place + half] = -sums[half];
        }
        negative_sums[3 * place + 2] = -sums[0] - sums[1];
    }

    // Quantise the groups from `group` to `end`; `from` has the numbers of all of them.
    void quantise(int row, int group, int end, const float* from, Rounding rounding) {
        for (; group < end; ++group, from += kGroup) quantise(row, group, from, rounding);
    }
};

template <class Function, int... kIndices>
inline __attribute__((always_inline)) void for_each_index(std::integer_sequence<int, kIndices...>,
                                                          Function&& function) {
    (function(std::integral_constant<int, kIndices>()), ...);
}

// Call `function` with constants from 0 to kCount - 1.
template <int kCount, class Function>
inline __attribute__((always_inline)) void for_each_index(Function&& function) {
    for_each_index(std::make_integer_sequence<int, kCount>(), function);
}

// Add the products of the weights in one group of 32 inputs with `kCount` rows to `totals`: of the first or, if `kOdd`,
// the second group of a pair. `values` and `place` are those of this group in the first row.
template <class Format, int kCount, int kOdd>
inline __attribute__((always_inline)) void multiply_group(const Format& format, int pair, const Rows& rows,
                                                          const int8_t* values, size_t place, Floats* totals) {
    constexpr int kAtOnce = kVectorsAtOnce<Format::kBits>;
    constexpr int kVectors = kGroupVectors / Format::kScales;
    for_each_index<Format::kScales>([&](auto part) __attribute__((always_inline)) {
        Ints sums[kCount];
#pragma GCC unroll 8
        for (int r = 0; r < kCount; ++r) {
            sums[r] = broadcast_int(0);
            if constexpr (Format::kOffsetBits > 0) {
                const int32_t* own = rows.negative_sums + 3 * (place + static_cast<size_t>(r) * rows.groups);
                sums[r] = shift_left(broadcast_int(own[Format::kScales == 2 ? part : 2]), Format::kOffsetBits);
            }
        }
        for_each_index<kVectors / kAtOnce>([&](auto step) __attribute__((always_inline)) {
            constexpr int kFirst = part * kVectors + step * kAtOnce;
            Ints weights[kAtOnce];
            for_each_index<kAtOnce>([&](auto i) __attribute__((always_inline)) {
                weights[i] = format.template weights<kOdd, kFirst + i>(pair);
            });
#pragma GCC unroll 8
            for (int r = 0; r < kCount; ++r)
                sums[r] = add_products<kAtOnce, Format::kBits>(
                    sums[r], weights, values + static_cast<size_t>(r) * rows.stride + 4 * kFirst);
        });
        const Floats scale = format.scale((2 * pair + kOdd) * Format::kScales + part);
#pragma GCC unroll 8
        for (int r = 0; r < kCount; ++r) {
            const float own = rows.scales[2 * (place + static_cast<size_t>(r) * rows.groups) + part];
            totals[r] = multiply_add(to_floats(sums[r]), scale * broadcast(own), totals[r]);
        }
    });
    if constexpr (Format::kHasMinimums) {
        const Floats minimum = format.minimum(2 * pair + kOdd);
#pragma GCC unroll 8
        for (int r = 0; r < kCount; ++r)
            totals[r] = subtract_product(
                minimum, broadcast(rows.totals[place + static_cast<size_t>(r) * rows.groups]), totals[r]);
    }
}

// Add the products of one unit of a tile with `kCount` adjacent rows to `sums` [kCount][64].
// `cold`: the weights are not in the processor's cache yet. The hardware prefetcher stops at every page, and while
// further rows are computed.
template <class Format, int kCount>
void multiply_unit(const uint8_t* unit, const Rows& rows, int row, int group, bool cold, float* sums) {
    constexpr int kGroups = Format::kInputs / kGroup, kPairs = (kGroups + 1) / 2;
    // Into the second cache, where more can be on its way; small units of few rows are over before it comes from there.
    constexpr auto kHint = kPairs == 1 && kCount <= 2 ? _MM_HINT_T0 : _MM_HINT_T1;
    for (int strip = 0; strip < kStrips; ++strip)
        for (int half = 0; half < kStripColumns / kLanes; ++half) {
            const int8_t* values = rows.values + static_cast<size_t>(row) * rows.stride + group * kGroup;
            size_t place = static_cast<size_t>(row) * rows.groups + group;
            const Format format(unit, strip, half);
            float* to = sums + strip * kStripColumns + half * kLanes;
            Floats totals[kCount];
#pragma GCC unroll 8
            for (int r = 0; r < kCount; ++r) totals[r] = load(to + r * kColumns);
            const uint8_t* ahead = unit + Format::kHeader + strip * Format::kStrip + kPrefetchBytes;
#pragma GCC unroll 1
            for (int pair = 0; pair < kPairs; ++pair, values += 2 * kGroup, place += 2) {
                if (cold && half == 0)
                    for (int i = 0; i < Format::kStrip / kPairs; i += kVector, ahead += kVector)
                        _mm_prefetch(reinterpret_cast<const char*>(ahead), kHint);
                multiply_group<Format, kCount, 0>(format, pair, rows, values, place, totals);
                if constexpr (kGroups > 1)
                    multiply_group<Format, kCount, 1>(format, pair, rows, values + kGroup, place + 1, totals);
            }
#pragma GCC unroll 8
            for (int r = 0; r < kCount; ++r) store(to + r * kColumns, totals[r]);
        }
}

// Write the product of rows `first` to `first + count` with one tile to `sums` [count, rounded up to 8][64]. Rows up to
// that number must exist in memory, whatever they hold.
template <class Format>
void multiply_tile(const Matrix& matrix, int tile, const Rows& rows, int first, int count, float* sums) {
    std::memset(sums, 0, sizeof(float) * kColumns * round_up(count, kKernelRows));
    const uint8_t* unit = matrix.data + tile * tile_bytes<Format>(matrix.inputs);
    const int groups = (matrix.inputs + kGroup - 1) / kGroup;
    for (int group = 0; group < groups; group += Format::kInputs / kGroup, unit += unit_bytes<Format>()) {
        if (count == 1) multiply_unit<Format, 1>(unit, rows, first, group, true, sums);
        else if (count == 2) multiply_unit<Format, 2>(unit, rows, first, group, true, sums);
        else if (count <= 4) multiply_unit<Format, 4>(unit, rows, first, group, true, sums);
        else multiply_unit<Format, 8>(unit, rows, first, group, true, sums);
        for (int r = kKernelRows; r < count; r += kKernelRows)
            multiply_unit<Format, 8>(unit, rows, first + r, group, false, sums + r * kColumns);
    }
}

inline void multiply_tile(const Matrix& matrix, int tile, const Rows& rows, int first, int count, float* sums) {
    visit_format(matrix.type, [&](auto tag) {
        multiply_tile<typename decltype(tag)::type>(matrix, tile, rows, first, count, sums);
    });
}
