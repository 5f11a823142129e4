// Eight lanes at a time: AVX2 with FMA and F16C. See avx512.h for what the functions do.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

using Floats = __m256;
using Ints = __m256i;
constexpr int kLanes = 8;
constexpr int kRegisters = 16;

inline Floats broadcast(float x) { return _mm256_set1_ps(x); }
inline Floats load(const float* from) { return _mm256_loadu_ps(from); }
inline void store(float* to, Floats x) { _mm256_storeu_ps(to, x); }
inline Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
inline Floats subtract_product(Floats a, Floats b, Floats c) { return _mm256_fnmadd_ps(a, b, c); }
inline Floats maximum(Floats a, Floats b) { return _mm256_max_ps(a, b); }
inline Floats minimum(Floats a, Floats b) { return _mm256_min_ps(a, b); }
inline Floats magnitude(Floats x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
inline bool any_equal(Floats a, float b) {
    return _mm256_movemask_ps(_mm256_cmp_ps(a, broadcast(b), _CMP_EQ_OQ)) != 0;
}
inline float sum(Floats x) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}
inline float maximum(Floats x) {
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}
inline Floats round_to_whole(Floats x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline Floats scale_by_power(Floats x, Floats power) {
    const Ints exponent = _mm256_add_epi32(_mm256_cvtps_epi32(power), _mm256_set1_epi32(127));
    return _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}
inline Ints lanes_below(int count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Floats first_lanes(int count, Floats x, Floats rest) {
    return _mm256_blendv_ps(rest, x, _mm256_castsi256_ps(lanes_below(count)));
}
inline void store_first(int count, float* to, Floats x) { _mm256_maskstore_ps(to, lanes_below(count), x); }
inline Floats load_halves(const uint16_t* from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

inline Ints load_ints(const void* from) { return _mm256_load_si256(static_cast<const Ints*>(from)); }
inline Ints broadcast_int(int32_t x) { return _mm256_set1_epi32(x); }
inline Ints broadcast_byte(int x) { return _mm256_set1_epi8(static_cast<char>(x)); }
inline Ints both(Ints a, Ints b) { return _mm256_and_si256(a, b); }
inline Ints either(Ints a, Ints b) { return _mm256_or_si256(a, b); }
inline Ints shift_pairs_right(Ints x, int bits) { return _mm256_srli_epi16(x, bits); }
inline Ints shift_pairs_left(Ints x, int bits) { return _mm256_slli_epi16(x, bits); }
inline Ints shift_right(Ints x, int bits) { return _mm256_srli_epi32(x, bits); }
inline Ints shift_left(Ints x, int bits) { return _mm256_slli_epi32(x, bits); }
inline Ints shift_right_signed(Ints x, int bits) { return _mm256_srai_epi32(x, bits); }
inline Ints add(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
inline Ints subtract(Ints a, Ints b) { return _mm256_sub_epi32(a, b); }
inline Ints minimum(Ints a, Ints b) { return _mm256_min_epi32(a, b); }
inline Floats to_floats(Ints x) { return _mm256_cvtepi32_ps(x); }

constexpr int kByteOffsetBits = 0;
inline Ints load_byte_weights(const void* from) {
    return _mm256_xor_si256(load_ints(from), broadcast_byte(0x80));
}

// AVX2 adds pairs of products in 16 bits, which hold four of them for weights below 32, two below 64. Weights of 8 bits
// are signed here: their signs are moved to the activations, and each pair of products just fits.
template <int kVectors, int kBits>
inline Ints add_products(Ints sum, const Ints* weights, const int8_t* activations) {
    Ints pairs;
#pragma GCC unroll 4
    for (int i = 0; i < kVectors; ++i) {
        int32_t four;
        std::memcpy(&four, activations + 4 * i, sizeof four);
        const Ints same = _mm256_set1_epi32(four);
        const Ints products =
            kBits == 8 ? _mm256_maddubs_epi16(_mm256_abs_epi8(weights[i]), _mm256_sign_epi8(same, weights[i]))
                       : _mm256_maddubs_epi16(weights[i], same);
        pairs = i ? _mm256_add_epi16(pairs, products) : products;
    }
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
template <int kBits>
constexpr int kVectorsAtOnce = kBits <= 5 ? 4 : kBits == 6 ? 2 : 1;

inline void store_as_bytes(int8_t* to, Ints x) {
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packs_epi16(words, words));
}
inline Ints to_nearest_ints(Floats x) { return _mm256_cvtps_epi32(x); }
inline int sum(Ints x) {
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1)));
}
