// How matrices lie in memory: the blocks of a GGUF, reordered once and with the same number of bytes.
//
// A tile has 64 outputs, and is cut along its inputs into units as long as a block. A unit has four strips of 16
// outputs. In a vector of weights, an output has four adjacent bytes: inputs 4k to 4k + 3 of vector k of a group of 32
// inputs. AVX2 reads each such vector as two halves.
#pragma once

#include "blocks.h"
#include "vectors.h"

constexpr int kColumns = 64;
constexpr int kStripColumns = 16;
constexpr int kStrips = kColumns / kStripColumns;
constexpr int kVector = 64;          // bytes of a vector
constexpr int kGroup = 32;           // inputs that share a scale of the activations
constexpr int kGroupVectors = kGroup / 4;

// The bytes of one output in a vector.
inline uint8_t* lane(uint8_t* vector, int column) { return vector + 4 * column; }

// Each format has
// - kInputs, kHeader, kStrip: inputs of a unit, bytes before its strips, bytes of a strip;
// - kBits of a weight; kOffsetBits: 2 to this power is to be subtracted from it, but nothing for 0;
// - kScales: scales in a group of 32 inputs;
// - kHasMinimums: whether groups have minimums;
// - pack(): writes one output of a unit;
// - objects that give the vectors of one strip, or half a strip, in the kernel.

// Blocks of 32 inputs with one scale.
template <int kBitsOfWeight>
struct Simple {
    static constexpr int kInputs = 32, kHeader = kColumns * 2, kBits = kBitsOfWeight, kScales = 1;
    static constexpr int kHigh = kBits == 5 ? kVector : 0;
    static constexpr int kStrip = kHigh + kVector * (kBits == 8 ? 8 : 4);
    static constexpr int kOffsetBits = kBits == 8 ? kByteOffsetBits : kBits - 1;
    static constexpr bool kHasMinimums = false;

    static void pack(const Block& block, uint8_t* unit, int strip, int column) {
        std::memcpy(unit + 2 * (kStripColumns * strip + column), &block.scale, sizeof block.scale);
        uint8_t* high = unit + kHeader + strip * kStrip;
        for (int i = 0; i < kInputs; ++i) {
            const int k = i / 4, byte = i % 4, code = block.codes[i];
            uint8_t* vectors = high + kHigh;
            if constexpr (kBits == 8) {
                lane(vectors + kVector * k, column)[byte] = code;
            } else {
                lane(vectors + kVector * (k % 4), column)[byte] |= (code & 15) << (k < 4 ? 0 : 4);
                if constexpr (kBits == 5) lane(high, column)[byte] |= (code >> 4) << k;
            }
        }
    }

    Simple(const uint8_t* unit, int strip, int half)
        : high_(unit + kHeader + strip * kStrip + half * sizeof(Ints)),
          scale_(load_halves(reinterpret_cast<const uint16_t*>(unit) + kStripColumns * strip + kLanes * half)) {}

    Floats scale(int) const { return scale_; }

    template <int, int k>
    Ints weights(int) const {
        const uint8_t* vectors = high_ + kHigh;
        if constexpr (kBits == 8) return load_byte_weights(vectors + kVector * k);
        const Ints pair = load_ints(vectors + kVector * (k % 4));
        const Ints low = both(k < 4 ? pair : shift_pairs_right(pair, 4), broadcast_byte(15));
        if constexpr (kBits == 4) return low;
        const Ints high = load_ints(high_);
        return either(low, both(k <= 4 ? shift_pairs_left(high, 4 - k) : shift_pairs_right(high, k - 4),
                                broadcast_byte(16)));
    }

private:
    const uint8_t* high_;
    Floats scale_;
};

// Q4_K and Q5_K: eight groups of 32 inputs with scales and minimums of 6 bits.
template <int kBitsOfWeight>
struct WithMinimums {
    static constexpr int kInputs = 256, kHeader = 0, kBits = kBitsOfWeight, kScales = 1;
    static constexpr int kHigh = kVector + 3 * kVector, kLow = kHigh + (kBits == 5 ? 8 * kVector : 0);
    static constexpr int kStrip = kLow + 32 * kVector;
    static constexpr int kOffsetBits = 0;
    static constexpr bool kHasMinimums = true;

    static void pack(const Block& block, uint8_t* unit, int strip, int column) {
        uint8_t* at = unit + strip * kStrip;
        std::memcpy(at + 2 * column, &block.scale, sizeof block.scale);
        std::memcpy(at + 2 * (kStripColumns + column), &block.minimum, sizeof block.minimum);
        // Three vectors hold sixteen numbers of 6 bits for each output; the last four are spread over the upper bits.
        for (int i = 0; i < 4; ++i) {
            const int last = block.group_minimums[4 + i];
            lane(at + kVector, column)[i] = block.group_scales[i] | (last & 3) << 6;
            lane(at + 2 * kVector, column)[i] = block.group_scales[4 + i] | (last >> 2 & 3) << 6;
            lane(at + 3 * kVector, column)[i] = block.group_minimums[i] | (last >> 4) << 6;
        }
        for (int i = 0; i < kInputs; ++i) {
            const int group = i / kGroup, k = i % kGroup / 4, byte = i % 4, code = block.codes[i];
            lane(at + kLow + kVector * (group / 2 * 8 + k), column)[byte] |= (code & 15) << (group % 2 ? 4 : 0);
            if constexpr (kBits == 5) lane(at + kHigh + kVector * k, column)[byte] |= (code >> 4) << group;
        }
    }

    WithMinimums(const uint8_t* unit, int strip, int half)
        : at_(unit + strip * kStrip + half * sizeof(Ints)) {
        const auto* halves = reinterpret_cast<const uint16_t*>(unit + strip * kStrip) + kLanes * half;
        const Floats scale = load_halves(halves), minimum = load_halves(halves + kStripColumns);
        Ints packed[4];
#pragma GCC unroll 3
        for (int i = 0; i < 3; ++i) packed[i] = load_ints(at_ + kVector * (1 + i));
        packed[3] = either(both(shift_pairs_right(packed[0], 6), broadcast_byte(3)),
                           either(both(shift_pairs_right(packed[1], 4), broadcast_byte(12)),
                                  both(shift_pairs_right(packed[2], 2), broadcast_byte(48))));
#pragma GCC unroll 8
        for (int i = 0; i < 8; ++i) {
            const auto number = [&](int at) {
                return to_floats(both(shift_right(packed[at], i % 4 * 8), broadcast_int(63)));
            };
            scales_[i] = number(i / 4) * scale;
            minimums_[i] = number(2 + i / 4) * minimum;
        }
    }

    Floats scale(int group) const { return scales_[group]; }
    Floats minimum(int group) const { return minimums_[group]; }

    template <int kOdd, int k>
    Ints weights(int pair) const {
        const Ints both_groups = load_ints(at_ + kLow + kVector * (pair * 8 + k));
        const Ints low = both(kOdd ? shift_pairs_right(both_groups, 4) : both_groups, broadcast_byte(15));
        if constexpr (kBits == 4) return low;
        const Ints high = shift_pairs_right(load_ints(at_ + kHigh + kVector * k), 2 * pair + kOdd);
        return either(low, shift_pairs_left(both(high, broadcast_byte(1)), 4));
    }

private:
    const uint8_t* at_;
    Floats scales_[8], minimums_[8];
};

// Q6_K: sixteen groups of 16 inputs with signed scales of 8 bits.
struct SixBits {
    static constexpr int kInputs = 256, kHeader = kColumns * 2, kBits = 6, kScales = 2;
    static constexpr int kWeights = 4 * kVector;
    static constexpr int kStrip = kWeights + 4 * 12 * kVector;
    static constexpr int kOffsetBits = 5;
    static constexpr bool kHasMinimums = false;

    // The upper four bits of vector k of two groups of 32 inputs are in one vector, and the lower two bits of its
    // vectors k and k + 1 in the vector before.
    static constexpr int low_bits(int group, int k) { return kWeights + (group / 2 * 12 + k / 2 * 3) * kVector; }
    static constexpr int high_bits(int group, int k) { return low_bits(group, k) + (1 + k % 2) * kVector; }
    static constexpr int low_shift(int group, int k) { return group % 2 * 4 + k % 2 * 2; }

    static void pack(const Block& block, uint8_t* unit, int strip, int column) {
        std::memcpy(unit + 2 * (kStripColumns * strip + column), &block.scale, sizeof block.scale);
        uint8_t* at = unit + kHeader + strip * kStrip;
        for (int i = 0; i < 16; ++i) lane(at + i / 4 * kVector, column)[i % 4] = block.group_scales[i];
        for (int i = 0; i < kInputs; ++i) {
            const int group = i / kGroup, k = i % kGroup / 4, byte = i % 4, code = block.codes[i];
            lane(at + low_bits(group, k), column)[byte] |= (code & 3) << low_shift(group, k);
            lane(at + high_bits(group, k), column)[byte] |= (code >> 2) << (group % 2 * 4);
        }
    }

    SixBits(const uint8_t* unit, int strip, int half) : at_(unit + kHeader + strip * kStrip + half * sizeof(Ints)) {
        const Floats scale =
            load_halves(reinterpret_cast<const uint16_t*>(unit) + kStripColumns * strip + kLanes * half);
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) {
            const Ints four = load_ints(at_ + i / 4 * kVector);
            scales_[i] = to_floats(shift_right_signed(shift_left(four, 24 - i % 4 * 8), 24)) * scale;
        }
    }

    Floats scale(int index) const { return scales_[index]; }

    template <int kOdd, int k>
    Ints weights(int pair) const {
        const Ints high = load_ints(at_ + high_bits(2 * pair, k)), low = load_ints(at_ + low_bits(2 * pair, k));
        const Ints upper = kOdd ? shift_pairs_right(high, 2) : shift_pairs_left(high, 2);
        return either(both(upper, broadcast_byte(60)),
                      both(shift_pairs_right(low, low_shift(kOdd, k)), broadcast_byte(3)));
    }

private:
    const uint8_t* at_;
    Floats scales_[16];
};

// Call `visit` with a Tag of the format for `type`; false for a type that has none. Numbers that are not quantised are
// stored as Q8_0.
template <class Format>
struct Tag {
    using type = Format;
};
template <class Visit>
bool visit_format(int type, Visit&& visit) {
    switch (type) {
        case kQ4_0: visit(Tag<Simple<4>>()); return true;
        case kQ5_0: visit(Tag<Simple<5>>()); return true;
        case kF32: case kF16: case kBF16:
        case kQ8_0: visit(Tag<Simple<8>>()); return true;
        case kQ4_K: visit(Tag<WithMinimums<4>>()); return true;
        case kQ5_K: visit(Tag<WithMinimums<5>>()); return true;
        case kQ6_K: visit(Tag<SixBits>()); return true;
    }
    return false;
}

// A matrix [outputs, inputs] in a file, row by row.
struct Source {
    int type;
    const uint8_t* data;
    int outputs, inputs;
    const int* order;  // the row of the file for each output, or null: they are in order
};

template <class Format>
constexpr size_t unit_bytes() {
    return Format::kHeader + kStrips * static_cast<size_t>(Format::kStrip);
}

template <class Format>
size_t tile_bytes(int inputs) {
    return (inputs + Format::kInputs - 1) / Format::kInputs * unit_bytes<Format>();
}

// Pack one tile of a matrix into `target`, which must be zeros.
template <class Format>
void pack_tile(const Source& source, int tile, uint8_t* target) {
    const BlockSize size = block_size(source.type);
    const size_t row_bytes = static_cast<size_t>(source.inputs) / size.inputs * size.bytes;
    for (int column = 0; column < kColumns; ++column) {
        const int output = tile * kColumns + column;
        if (output >= source.outputs) return;
        const uint8_t* row = source.data + row_bytes * (source.order ? source.order[output] : output);
        uint8_t* unit = target;
        for (int first = 0; first < source.inputs; first += Format::kInputs, unit += unit_bytes<Format>()) {
            Block block;
            if (size.inputs == 1) {
                float numbers[32] = {};
                const int count = source.inputs - first < 32 ? source.inputs - first : 32;
                read_floats(source.type, row + static_cast<size_t>(first) * size.bytes, count, numbers);
                block = quantise_q8_0(numbers);
            } else {
                block = read_block(source.type, row + first / size.inputs * size.bytes);
            }
            Format::pack(block, unit, column / kStripColumns, column % kStripColumns);
        }
    }
}
