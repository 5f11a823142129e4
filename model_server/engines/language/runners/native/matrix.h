// Products of packed weights and 8-bit activations: exact within a group of inputs, and then summed in float.
//
// Each number of a product is computed from its own row and column in a fixed order, so that other rows do not change
// it by a bit.
#pragma once

#include <algorithm>
#include <utility>

#include "formats.h"

constexpr int kKernelRows = 8;  // the most rows that meet a vector of weights while it is in a register
constexpr int kCachedRows = 32;  // so many rows stay in the first cache while they meet a unit of weights
constexpr int kSumBits = 5;  // sums of activations are stored times two to this power: a weight's offset, mostly
constexpr int kPrefetchBytes = 6144;  // how far ahead weights are fetched from memory: most of a unit of 256 inputs

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

// Rows of quantised activations: each half of a group of 32 is divided by its own scale, or both by the same one. As
// many rows as the kernel computes together lie beside each other, group by group, so that it reads them in order.
struct Rows {
    int8_t* values;          // [rows / together][groups][together][32]
    float* scales;           // [...][2]: of each half of a group
    float* totals;           // [...]: the sum of a group, times its scales
    int32_t* negative_sums;  // [...][3]: minus the sums of each half of a group, and of all of it, times 32
    int groups;
    int together;

    size_t place(int row, int group) const {
        return (static_cast<size_t>(row / together) * groups + group) * together + row % together;
    }

    void quantise(int row, int group, const float* from, Rounding rounding) {
        constexpr int kParts = kGroup / kLanes;
        Floats parts[kParts], largest[2] = {broadcast(0.0f), broadcast(0.0f)};
#pragma GCC unroll 4
        for (int i = 0; i < kParts; ++i) {
            parts[i] = load(from + i * kLanes);
            largest[2 * i / kParts] = maximum(largest[2 * i / kParts], magnitude(parts[i]));
        }
        if (!rounding.halves) largest[0] = maximum(largest[0], largest[1]);
        float bounds[2], steps[2] = {127.0f, 127.0f};
#pragma GCC unroll 4
        for (int half = 0; half < 2; ++half)
            bounds[half] = half && !rounding.halves ? bounds[0] : maximum(largest[half]);
        if (rounding.to_minus_128) {
            bool positive[2] = {};
#pragma GCC unroll 4
            for (int i = 0; i < kParts; ++i) positive[2 * i / kParts] |= any_equal(parts[i], bounds[2 * i / kParts]);
            if (!rounding.halves) positive[0] = positive[1] = positive[0] | positive[1];
            // Computed, not chosen: every other branch would be foreseen wrongly.
#pragma GCC unroll 4
            for (int half = 0; half < 2; ++half) steps[half] = 128.0f - 256.0f * positive[half];
        }
        const size_t place = this->place(row, group);
        Ints all[2] = {broadcast_int(0), broadcast_int(0)};
#pragma GCC unroll 4
        for (int i = 0; i < kParts; ++i) {
            const int half = 2 * i / kParts;
            const Floats factor = broadcast(bounds[half] > 0 ? steps[half] / bounds[half] : 0.0f);
            const Ints whole = minimum(to_nearest_ints(parts[i] * factor), broadcast_int(127));
            store_as_bytes(values + place * kGroup + i * kLanes, whole);
            all[half] = add(all[half], whole);
        }
        const int sums[2] = {sum(all[0]), sum(all[1])};
        const float scale[2] = {bounds[0] / steps[0], bounds[1] / steps[1]};
        totals[place] = 0;
#pragma GCC unroll 4
        for (int half = 0; half < 2; ++half) {
            scales[2 * place + half] = scale[half];
            totals[place] += scale[half] * static_cast<float>(sums[half]);
            negative_sums[3 * place + half] = -sums[half] * (1 << kSumBits);
        }
        negative_sums[3 * place + 2] = -(sums[0] + sums[1]) * (1 << kSumBits);
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
// the second group of a pair. `place` is that of this group in the first row.
template <class Format, int kCount, int kOdd>
inline __attribute__((always_inline)) void multiply_group(const Format& format, int pair, const Rows& rows,
                                                          size_t place, Floats* totals) {
    constexpr int kAtOnce = kVectorsAtOnce<Format::kBits>;
    constexpr int kVectors = kGroupVectors / Format::kScales;
    for_each_index<Format::kScales>([&](auto part) __attribute__((always_inline)) {
        Ints sums[kCount];
#pragma GCC unroll 8
        for (int r = 0; r < kCount; ++r) {
            sums[r] = broadcast_int(0);
            if constexpr (Format::kOffsetBits > 0) {
                const Ints own = broadcast_int(rows.negative_sums[3 * (place + r) + (Format::kScales == 2 ? part : 2)]);
                if constexpr (Format::kOffsetBits > kSumBits) sums[r] = shift_left(own, Format::kOffsetBits - kSumBits);
                else sums[r] = shift_right_signed(own, kSumBits - Format::kOffsetBits);
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
                    sums[r], weights, rows.values + (place + r) * kGroup + 4 * kFirst);
        });
        const Floats scale = format.scale((2 * pair + kOdd) * Format::kScales + part);
#pragma GCC unroll 8
        for (int r = 0; r < kCount; ++r) {
            const float own = rows.scales[2 * (place + r) + part];
            totals[r] = multiply_add(to_floats(sums[r]), scale * broadcast(own), totals[r]);
        }
    });
    if constexpr (Format::kHasMinimums) {
        const Floats minimum = format.minimum(2 * pair + kOdd);
#pragma GCC unroll 8
        for (int r = 0; r < kCount; ++r)
            totals[r] = subtract_product(minimum, broadcast(rows.totals[place + r]), totals[r]);
    }
}

// Add the products of a strip, or half of it, with the `kCount` rows that lie together at `place` to `sums` [kCount][64].
// `ahead`: null, or which weights are to be fetched meanwhile.
template <class Format, int kCount>
inline __attribute__((always_inline)) void multiply_strip(const Format& format, const Rows& rows, size_t place,
                                                          const uint8_t* ahead, float* sums) {
    constexpr int kGroups = Format::kInputs / kGroup, kPairs = (kGroups + 1) / 2;
    // Into the second cache, where more can be on its way; small units of few rows are over before it comes from there.
    constexpr auto kHint = kPairs == 1 && kCount <= 2 ? _MM_HINT_T0 : _MM_HINT_T1;
    constexpr int kFetched = unit_bytes<Format>() / kStrips / kPairs;  // with its part of the unit's header
    Floats totals[kCount];
#pragma GCC unroll 8
    for (int r = 0; r < kCount; ++r) totals[r] = load(sums + r * kColumns);
#pragma GCC unroll 1
    for (int pair = 0; pair < kPairs; ++pair, place += 2 * kCount) {
        if (ahead) {
            for (int i = 0; i < kFetched; i += kVector)
                _mm_prefetch(reinterpret_cast<const char*>(ahead + i), kHint);
            ahead += kFetched;
        }
        multiply_group<Format, kCount, 0>(format, pair, rows, place, totals);
        if constexpr (kGroups > 1)
            multiply_group<Format, kCount, 1>(format, pair, rows, place + kCount, totals);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kCount; ++r) store(sums + r * kColumns, totals[r]);
}

// Add the products of one unit of a tile with `count` rows from `row` on to `sums` [count][64].
// `cold`: the weights are not in the processor's cache yet. The hardware prefetcher stops at every page, and while
// further rows are computed.
template <class Format, int kCount>
void multiply_unit(const uint8_t* unit, const Rows& rows, int row, int count, int group, bool cold, float* sums) {
    const size_t first = rows.place(row, group);
    for (int strip = 0; strip < kStrips; ++strip)
        for (int half = 0; half < kStripColumns / kLanes; ++half) {
            const Format format(unit, strip, half);
            float* to = sums + strip * kStripColumns + half * kLanes;
            const uint8_t* ahead = unit + kPrefetchBytes + strip * (unit_bytes<Format>() / kStrips);
            multiply_strip<Format, kCount>(format, rows, first, cold && half == 0 ? ahead : nullptr, to);
            for (int r = kCount; r < count; r += kCount) {
                const size_t place = first + static_cast<size_t>(r) * rows.groups;
                multiply_strip<Format, kCount>(format, rows, place, nullptr, to + r * kColumns);
            }
        }
}

// Write the product of rows `first` to `first + count` with one tile to `sums` [count, rounded up to 8][64]. `first` is
// a multiple of 8. Rows up to that number must exist in memory, whatever they hold.
template <class Format, int kCount>
void multiply_tile(const Matrix& matrix, int tile, const Rows& rows, int first, int count, float* sums) {
    std::memset(sums, 0, sizeof(float) * kColumns * round_up(count, kCount));
    const uint8_t* unit = matrix.data + tile * tile_bytes<Format>(matrix.inputs);
    const int groups = (matrix.inputs + kGroup - 1) / kGroup;
    for (int group = 0; group < groups; group += Format::kInputs / kGroup, unit += unit_bytes<Format>())
        for (int r = 0; r < count; r += kCachedRows)
            multiply_unit<Format, kCount>(unit, rows, first + r, std::min(count - r, kCachedRows), group, r == 0,
                                          sums + r * kColumns);
}

inline void multiply_tile(const Matrix& matrix, int tile, const Rows& rows, int first, int count, float* sums) {
    visit_format(matrix.type, [&](auto tag) {
        using Format = typename decltype(tag)::type;
        if (rows.together == 1) multiply_tile<Format, 1>(matrix, tile, rows, first, count, sums);
        else if (rows.together == 2) multiply_tile<Format, 2>(matrix, tile, rows, first, count, sums);
        else if (rows.together == 4) multiply_tile<Format, 4>(matrix, tile, rows, first, count, sums);
        else multiply_tile<Format, kKernelRows>(matrix, tile, rows, first, count, sums);
    });
}
