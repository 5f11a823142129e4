// Products of 8-bit weights and 8-bit activations, exact within a group of inputs and then summed in float.
//
// Each number of a product is computed from its own row and column in a fixed order, so that other rows do
// not change it by a bit.
#pragma once

#include <cstring>

#include "vectors.h"

constexpr int kColumns = 64;
constexpr int kGroup = 2 * kLanes;
constexpr int kVectors = kColumns / kLanes;
constexpr int kPrefetchBytes = 4352;  // bytes to prefetch: two blocks

// The weights of one group of inputs and one tile of columns. Four inputs of a column are adjacent, as VNNI
// reads them; 128 is added to each weight, because VNNI's first operand is unsigned.
struct alignas(64) Block {
    uint16_t scales[kColumns];  // bfloat16
    uint8_t weights[kGroup / 4][kColumns][4];
};

// Blocks ordered by tile, then by group, so that the blocks of a tile are contiguous.
struct Matrix {
    const Block* blocks;
    int tiles;
    int groups;
};

// Multiply a group by the Hadamard matrix whose entries are 1 and -1. The weights are multiplied by its
// inverse, so that products stay the same. A single large number, which would make quantisation of its group
// coarse, is spread over all of the group (QuaRot, arXiv 2404.00456).
inline void hadamard_transform(Floats& low, Floats& high) {
    const Floats sum = _mm512_add_ps(low, high);
    high = _mm512_sub_ps(low, high);
    low = sum;
    const Floats one = _mm512_set1_ps(1.0f);
    const auto signs = [&](__mmask16 lanes) {
        return _mm512_mask_sub_ps(one, lanes, _mm512_setzero_ps(), one);
    };
    for (Floats* x : {&low, &high}) {
        *x = _mm512_fmadd_ps(*x, signs(0xaaaa), _mm512_permute_ps(*x, 0xb1));
        *x = _mm512_fmadd_ps(*x, signs(0xcccc), _mm512_permute_ps(*x, 0x4e));
        *x = _mm512_fmadd_ps(*x, signs(0xf0f0), _mm512_shuffle_f32x4(*x, *x, 0xb1));
        *x = _mm512_fmadd_ps(*x, signs(0xff00), _mm512_shuffle_f32x4(*x, *x, 0x4e));
    }
}

// Rows of quantised activations: each group is transformed, and then divided by its own scale.
struct Rows {
    int8_t* values;    // [rows][groups * kGroup]
    float* scales;     // [rows][groups]
    int32_t* offsets;  // [rows][groups]: -128 times the sum of a group, which undoes the weights' 128
    int groups;

    void quantise(int row, int group, const float* from) {
        Floats part[] = {_mm512_load_ps(from), _mm512_load_ps(from + kLanes)};
        hadamard_transform(part[0], part[1]);
        const Floats largest = _mm512_max_ps(_mm512_abs_ps(part[0]), _mm512_abs_ps(part[1]));
        const float bound = _mm512_reduce_max_ps(largest);
        const Floats factor = _mm512_set1_ps(bound > 0 ? 127.0f / bound : 0.0f);
        const size_t place = static_cast<size_t>(row) * groups + group;
        __m512i sum = _mm512_setzero_si512();
        for (int i = 0; i < 2; ++i) {
            const __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(part[i], factor));
            sum = _mm512_add_epi32(sum, whole);
            auto* to = reinterpret_cast<__m128i*>(values + place * kGroup + i * kLanes);
            _mm_storeu_si128(to, _mm512_cvtsepi32_epi8(whole));
        }
        scales[place] = bound / 127.0f;
        offsets[place] = -128 * _mm512_reduce_add_epi32(sum);
    }

    // Quantise the groups from `group` to `end`; `from` has the numbers of all of them.
    void quantise(int row, int group, int end, const float* from) {
        for (; group < end; ++group, from += kGroup) quantise(row, group, from);
    }
};

// Add the products of one block with `Count` adjacent rows to `sums` [Count][64]. `Cold`: the weights are not
// in the processor's cache yet.
template <int Count, bool Cold>
inline void multiply_block(const Block& block, const Rows& rows, int row, int group, float* sums) {
    const size_t first = static_cast<size_t>(row) * rows.groups + group;
    __m512i total[Count][kVectors];
    for (int r = 0; r < Count; ++r)
        for (int i = 0; i < kVectors; ++i)
            total[r][i] = _mm512_set1_epi32(rows.offsets[first + r * rows.groups]);
    for (int k = 0; k < kGroup / 4; ++k) {
        __m512i weights[kVectors];
        for (int i = 0; i < kVectors; ++i) {
            const char* from = reinterpret_cast<const char*>(block.weights[k][i * kLanes]);
            // The hardware prefetcher stops at every page, and while the rows after the first four are
            // computed.
            if constexpr (Cold) _mm_prefetch(from + kPrefetchBytes, _MM_HINT_T0);
            weights[i] = _mm512_load_si512(from);
        }
        for (int r = 0; r < Count; ++r) {
            int32_t four;
            std::memcpy(&four, rows.values + (first + r * rows.groups) * kGroup + k * 4, sizeof four);
            for (int i = 0; i < kVectors; ++i)
                total[r][i] = _mm512_dpbusd_epi32(total[r][i], weights[i], _mm512_set1_epi32(four));
        }
    }
    for (int i = 0; i < kVectors; ++i) {
        const Floats scale = load_bfloat(block.scales + i * kLanes);
        for (int r = 0; r < Count; ++r) {
            float* to = sums + r * kColumns + i * kLanes;
            const Floats factor = _mm512_mul_ps(scale, _mm512_set1_ps(rows.scales[first + r * rows.groups]));
            _mm512_store_ps(to, _mm512_fmadd_ps(_mm512_cvtepi32_ps(total[r][i]), factor, _mm512_load_ps(to)));
        }
    }
}

// Write the product of rows `first` to `first + count` with one tile of columns to `sums` [count][64].
inline void multiply_tile(const Matrix& matrix, int tile, const Rows& rows, int first, int count,
                          float* sums) {
    std::memset(sums, 0, sizeof(float) * kColumns * count);
    const Block* blocks = matrix.blocks + static_cast<size_t>(tile) * matrix.groups;
    for (int group = 0; group < matrix.groups; ++group) {
        const Block& block = blocks[group];
        if (count >= 4) multiply_block<4, true>(block, rows, first, group, sums);
        int r = count >= 4 ? 4 : 0;
        for (; r + 4 <= count; r += 4)
            multiply_block<4, false>(block, rows, first + r, group, sums + r * kColumns);
        switch (count - r) {
            case 3:
                multiply_block<3, true>(block, rows, first + r, group, sums + r * kColumns);
                break;
            case 2:
                multiply_block<2, true>(block, rows, first + r, group, sums + r * kColumns);
                break;
            case 1:
                multiply_block<1, true>(block, rows, first + r, group, sums + r * kColumns);
                break;
        }
    }
}
