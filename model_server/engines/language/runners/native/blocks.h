// The blocks of numbers in GGUF files, as ggml defines them: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
// and ggml-common.h there.
#pragma once

#include <immintrin.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

// Numbers of ggml's types.
enum Type { kF32 = 0, kF16 = 1, kQ4_0 = 2, kQ5_0 = 6, kQ8_0 = 8, kQ4_K = 12, kQ5_K = 13, kQ6_K = 14, kBF16 = 30 };

constexpr int kMaxInputs = 256;

// The size of one block: its numbers, and its bytes in the file.
struct BlockSize {
    int inputs, bytes;
};

inline BlockSize block_size(int type) {
    switch (type) {
        case kF32: return {1, 4};
        case kF16: return {1, 2};
        case kBF16: return {1, 2};
        case kQ4_0: return {32, 18};
        case kQ5_0: return {32, 22};
        case kQ8_0: return {32, 34};
        case kQ4_K: return {256, 144};
        case kQ5_K: return {256, 176};
        case kQ6_K: return {256, 210};
    }
    return {0, 0};
}

inline float half_to_float(uint16_t bits) { return _cvtsh_ss(bits); }

inline uint16_t read_half(const uint8_t* from) {
    uint16_t bits;
    std::memcpy(&bits, from, sizeof bits);
    return bits;
}

// One block, taken apart. A number is scale × group scale × (code - offset) - minimum × group minimum, where a group
// has 16 inputs in Q6_K, and 32 otherwise.
struct Block {
    uint16_t scale = 0, minimum = 0;  // half precision
    int offset = 0;
    int8_t group_scales[16] = {};
    uint8_t group_minimums[8] = {};
    uint8_t codes[kMaxInputs] = {};
};

// Read the 6-bit scale and minimum of each of the eight groups of a Q4_K or Q5_K block.
inline void read_group_scales(const uint8_t* packed, Block& block) {
    for (int g = 0; g < 8; ++g) {
        if (g < 4) {
            block.group_scales[g] = packed[g] & 63;
            block.group_minimums[g] = packed[g + 4] & 63;
        } else {
            block.group_scales[g] = (packed[g + 4] & 15) | (packed[g - 4] >> 6) << 4;
            block.group_minimums[g] = packed[g + 4] >> 4 | (packed[g] >> 6) << 4;
        }
    }
}

inline void read_q4_0(const uint8_t* from, Block& block) {
    block.scale = read_half(from);
    block.offset = 8;
    block.group_scales[0] = 1;
    for (int i = 0; i < 16; ++i) {
        block.codes[i] = from[2 + i] & 15;
        block.codes[16 + i] = from[2 + i] >> 4;
    }
}

inline void read_q5_0(const uint8_t* from, Block& block) {
    uint32_t high;
    std::memcpy(&high, from + 2, sizeof high);
    block.scale = read_half(from);
    block.offset = 16;
    block.group_scales[0] = 1;
    for (int i = 0; i < 16; ++i) {
        block.codes[i] = (from[6 + i] & 15) | (high >> i & 1) << 4;
        block.codes[16 + i] = from[6 + i] >> 4 | (high >> (16 + i) & 1) << 4;
    }
}

inline void read_q8_0(const uint8_t* from, Block& block) {
    block.scale = read_half(from);
    block.offset = 128;
    block.group_scales[0] = 1;
    for (int i = 0; i < 32; ++i) block.codes[i] = from[2 + i] ^ 0x80;
}

// Q4_K, and Q5_K, which has one more bit for each number in `high`.
inline void read_q45_k(const uint8_t* from, const uint8_t* high, const uint8_t* low, Block& block) {
    block.scale = read_half(from);
    block.minimum = read_half(from + 2);
    read_group_scales(from + 4, block);
    for (int g = 0; g < 8; ++g)
        for (int i = 0; i < 32; ++i) {
            const uint8_t pair = low[g / 2 * 32 + i];
            block.codes[32 * g + i] = (g % 2 ? pair >> 4 : pair & 15) | (high ? (high[i] >> g & 1) << 4 : 0);
        }
}

inline void read_q6_k(const uint8_t* from, Block& block) {
    block.scale = read_half(from + 208);
    block.offset = 32;
    std::memcpy(block.group_scales, from + 192, 16);
    for (int half = 0; half < 2; ++half)
        for (int i = 0; i < 128; ++i) {
            const uint8_t low = from[64 * half + i % 64], high = from[128 + 32 * half + i % 32];
            block.codes[128 * half + i] = (i < 64 ? low & 15 : low >> 4) | (high >> (i / 32 * 2) & 3) << 4;
        }
}

inline Block read_block(int type, const uint8_t* from) {
    Block block;
    switch (type) {
        case kQ4_0: read_q4_0(from, block); break;
        case kQ5_0: read_q5_0(from, block); break;
        case kQ8_0: read_q8_0(from, block); break;
        case kQ4_K: read_q45_k(from, nullptr, from + 16, block); break;
        case kQ5_K: read_q45_k(from, from + 16, from + 48, block); break;
        case kQ6_K: read_q6_k(from, block); break;
    }
    return block;
}

// Write the `count` numbers that begin at `from`, the beginning of a row, as floats.
inline void read_floats(int type, const uint8_t* from, int count, float* to) {
    if (type == kF32) std::memcpy(to, from, sizeof(float) * count);
    if (type == kF16)
        for (int i = 0; i < count; ++i) to[i] = half_to_float(read_half(from + 2 * i));
    if (type == kBF16)
        for (int i = 0; i < count; ++i) {
            const uint32_t bits = static_cast<uint32_t>(read_half(from + 2 * i)) << 16;
            std::memcpy(to + i, &bits, sizeof bits);
        }
    const BlockSize size = block_size(type);
    if (size.inputs == 1) return;
    for (int first = 0; first < count; first += size.inputs, from += size.bytes) {
        const Block block = read_block(type, from);
        const float scale = half_to_float(block.scale), minimum = half_to_float(block.minimum);
        for (int i = 0; i < size.inputs; ++i)
            to[first + i] = scale * block.group_scales[type == kQ6_K ? i / 16 : i / 32] *
                                (block.codes[i] - block.offset) -
                            minimum * block.group_minimums[i / 32];
    }
}

// Quantise 32 floats to a block of Q8_0.
inline Block quantise_q8_0(const float* from) {
    float bound = 0;
    for (int i = 0; i < 32; ++i) bound = std::fmax(bound, std::fabs(from[i]));
    Block block;
    block.scale = _cvtss_sh(bound / 127, _MM_FROUND_TO_NEAREST_INT);
    block.offset = 128;
    block.group_scales[0] = 1;
    const float scale = half_to_float(block.scale);
    for (int i = 0; i < 32; ++i) {
        // A scale that was rounded down puts the largest number out of range by less than half a step.
        const float code = scale > 0 ? std::nearbyint(from[i] / scale) : 0;
        block.codes[i] = static_cast<uint8_t>(128 + std::fmin(std::fmax(code, -127.0f), 127.0f));
    }
    return block;
}
