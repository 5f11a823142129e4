// Sixteen lanes at a time: AVX-512 with VNNI.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

using Floats = __m512;
using Ints = __m512i;
constexpr int kLanes = 16;
constexpr int kRegisters = 32;

inline Floats broadcast(float x) { return _mm512_set1_ps(x); }
inline Floats load(const float* from) { return _mm512_loadu_ps(from); }
inline void store(float* to, Floats x) { _mm512_storeu_ps(to, x); }
inline Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
inline Floats subtract_product(Floats a, Floats b, Floats c) { return _mm512_fnmadd_ps(a, b, c); }
inline Floats maximum(Floats a, Floats b) { return _mm512_max_ps(a, b); }
inline Floats minimum(Floats a, Floats b) { return _mm512_min_ps(a, b); }
inline Floats magnitude(Floats x) { return _mm512_abs_ps(x); }
// Whether a lane of `a` is `b`.
inline bool any_equal(Floats a, float b) { return _mm512_cmpeq_ps_mask(a, broadcast(b)) != 0; }
inline float sum(Floats x) { return _mm512_reduce_add_ps(x); }
inline float maximum(Floats x) { return _mm512_reduce_max_ps(x); }
inline Floats round_to_whole(Floats x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// x times two to the power of the whole number `power`, which must not leave the range of normal numbers.
inline Floats scale_by_power(Floats x, Floats power) { return _mm512_scalef_ps(x, power); }
// The first `count` lanes of `x`, and `rest` in the others.
inline Floats first_lanes(int count, Floats x, Floats rest) {
    const __mmask16 valid = count >= kLanes ? 0xffff : (1u << count) - 1;
    return _mm512_mask_mov_ps(rest, valid, x);
}
// Write the first `count` lanes.
inline void store_first(int count, float* to, Floats x) {
    _mm512_mask_storeu_ps(to, count >= kLanes ? 0xffff : (1u << count) - 1, x);
}
inline Floats load_halves(const uint16_t* from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}

inline Ints load_ints(const void* from) { return _mm512_load_si512(from); }
inline Ints broadcast_int(int32_t x) { return _mm512_set1_epi32(x); }
inline Ints broadcast_byte(int x) { return _mm512_set1_epi8(static_cast<char>(x)); }
inline Ints both(Ints a, Ints b) { return _mm512_and_si512(a, b); }
inline Ints either(Ints a, Ints b) { return _mm512_or_si512(a, b); }
inline Ints shift_pairs_right(Ints x, int bits) { return _mm512_srli_epi16(x, bits); }
inline Ints shift_pairs_left(Ints x, int bits) { return _mm512_slli_epi16(x, bits); }
inline Ints shift_right(Ints x, int bits) { return _mm512_srli_epi32(x, bits); }
inline Ints shift_left(Ints x, int bits) { return _mm512_slli_epi32(x, bits); }
inline Ints shift_right_signed(Ints x, int bits) { return _mm512_srai_epi32(x, bits); }
inline Ints add(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
inline Ints subtract(Ints a, Ints b) { return _mm512_sub_epi32(a, b); }
inline Ints minimum(Ints a, Ints b) { return _mm512_min_epi32(a, b); }
inline Floats to_floats(Ints x) { return _mm512_cvtepi32_ps(x); }

// VNNI reads weights of 8 bits as unsigned bytes, from which 128, two to this power, is then to be subtracted.
constexpr int kByteOffsetBits = 7;
inline Ints load_byte_weights(const void* from) { return load_ints(from); }

// Add to each lane of `sum` the products of `kVectors` times four weights with the same activations for all lanes.
// `kBits`: each weight is below 2 to this power.
template <int kVectors, int kBits>
inline Ints add_products(Ints sum, const Ints* weights, const int8_t* activations) {
#pragma GCC unroll 4
    for (int i = 0; i < kVectors; ++i) {
        int32_t four;
        std::memcpy(&four, activations + 4 * i, sizeof four);
        sum = _mm512_dpbusd_epi32(sum, weights[i], _mm512_set1_epi32(four));
    }
    return sum;
}
// How many vectors of weights are kept in registers while they meet all rows.
template <int kBits>
constexpr int kVectorsAtOnce = 4;

// Write whole numbers from -128 to 127 as bytes.
inline void store_as_bytes(int8_t* to, Ints x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtsepi32_epi8(x));
}
inline Ints to_nearest_ints(Floats x) { return _mm512_cvtps_epi32(x); }
inline int sum(Ints x) { return _mm512_reduce_add_epi32(x); }
