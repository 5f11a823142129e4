// The cache of keys and values, and attention over it.
#pragma once

#include <sys/mman.h>

#include <cstring>
#include <limits>
#include <new>

#include "vectors.h"

constexpr int kQueries = 8;

// Half-precision keys and values of every slot, layer and head. Keys are stored in blocks of 16 positions,
// each block ordered by dimension, so that the scores of 16 positions are one vector. Values are ordered by
// position.
class Cache {
public:
    Cache(int slots, int layers, int heads, int context, int width)
        : layers_(layers),
          heads_(heads),
          context_(round_up(context, kLanes)),
          width_(width),
          stride_(round_up(width, kLanes)) {
        keys_ = static_cast<size_t>(context_) * width_;
        head_ = keys_ + static_cast<size_t>(context_) * stride_;
        bytes_ = head_ * heads * layers * slots * sizeof(uint16_t);
        void* memory =
            mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) throw std::bad_alloc();
        // A huge page would make a whole slot resident for its first few tokens.
        madvise(memory, bytes_, MADV_NOHUGEPAGE);
        data_ = static_cast<uint16_t*>(memory);
    }
    ~Cache() { munmap(data_, bytes_); }
    Cache(const Cache&) = delete;
    Cache& operator=(const Cache&) = delete;

    const uint16_t* keys(int slot, int layer, int head) const { return at(slot, layer, head); }
    const uint16_t* values(int slot, int layer, int head) const { return at(slot, layer, head) + keys_; }
    int context() const { return context_; }
    int width() const { return width_; }
    int stride() const { return stride_; }

    void write(int slot, int layer, int head, int position, const float* key, const float* value) {
        uint16_t* keys = at(slot, layer, head) + static_cast<size_t>(position / kLanes) * width_ * kLanes +
                         position % kLanes;
        uint16_t* values = at(slot, layer, head) + keys_ + static_cast<size_t>(position) * stride_;
        for (int d = 0; d < width_; ++d) {
            keys[d * kLanes] = _cvtss_sh(key[d], _MM_FROUND_TO_NEAREST_INT);
            values[d] = _cvtss_sh(value[d], _MM_FROUND_TO_NEAREST_INT);
        }
    }

    void copy(int source, int target, int length) {
        const size_t keys = static_cast<size_t>(round_up(length, kLanes)) * width_ * sizeof(uint16_t);
        const size_t values = static_cast<size_t>(length) * stride_ * sizeof(uint16_t);
        for (int layer = 0; layer < layers_; ++layer)
            for (int head = 0; head < heads_; ++head) {
                std::memcpy(at(target, layer, head), at(source, layer, head), keys);
                std::memcpy(at(target, layer, head) + keys_, at(source, layer, head) + keys_, values);
            }
    }

private:
    uint16_t* at(int slot, int layer, int head) const {
        return data_ + ((static_cast<size_t>(slot) * layers_ + layer) * heads_ + head) * head_;
    }

    int layers_, heads_, context_, width_, stride_;
    size_t keys_, head_, bytes_;
    uint16_t* data_;
};

// Write the raw scores of `Count` queries with `length` keys to `scores` [Count][context], and minus
// infinity after the last one, up to a whole vector. `best` gets the largest score of each lane.
template <int Count>
inline void compute_scores(const Cache& cache, const float* queries, const uint16_t* keys, int length,
                           float* scores, Floats* best) {
    const int width = cache.width();
    for (int i = 0; i < Count; ++i) best[i] = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
    for (int from = 0; from < length; from += kLanes) {
        Floats sums[Count];
        for (int i = 0; i < Count; ++i) sums[i] = _mm512_setzero_ps();
        for (int d = 0; d < width; ++d) {
            const Floats key = load_half(keys + static_cast<size_t>(from) * width + d * kLanes);
            for (int i = 0; i < Count; ++i)
                sums[i] = _mm512_fmadd_ps(_mm512_set1_ps(queries[i * width + d]), key, sums[i]);
        }
        const int left = length - from;
        const __mmask16 valid = left >= kLanes ? 0xffff : (1u << left) - 1;
        for (int i = 0; i < Count; ++i) {
            const Floats one =
                _mm512_mask_mov_ps(_mm512_set1_ps(-std::numeric_limits<float>::infinity()), valid, sums[i]);
            best[i] = _mm512_max_ps(best[i], one);
            _mm512_storeu_ps(scores + static_cast<size_t>(i) * cache.context() + from, one);
        }
    }
}

// Turn the scores of one query into unnormalised softmax weights, and return their sum.
inline float exponentiate_scores(float* scores, int length, Floats best) {
    const Floats top = _mm512_set1_ps(_mm512_reduce_max_ps(best));
    Floats total = _mm512_setzero_ps();
    for (int from = 0; from < length; from += kLanes) {
        const int left = length - from;
        const __mmask16 valid = left >= kLanes ? 0xffff : (1u << left) - 1;
        const Floats score = _mm512_loadu_ps(scores + from);
        const Floats weight = _mm512_maskz_mov_ps(valid, exponential(_mm512_sub_ps(score, top)));
        total = _mm512_add_ps(total, weight);
        _mm512_storeu_ps(scores + from, weight);
    }
    return _mm512_reduce_add_ps(total);
}

// Write to `out` [Count][width] the attention of `Count` queries [Count][width], which share a head of keys,
// over `length` positions. `scores` is scratch memory for [Count][context] numbers.
template <int Count>
void attend(const Cache& cache, int slot, int layer, int head, int length, const float* queries,
            float* scores, float* out) {
    const int width = cache.width();
    Floats best[Count];
    float shrink[Count];
    compute_scores<Count>(cache, queries, cache.keys(slot, layer, head), length, scores, best);
    for (int i = 0; i < Count; ++i)
        shrink[i] =
            1.0f / exponentiate_scores(scores + static_cast<size_t>(i) * cache.context(), length, best[i]);
    const uint16_t* values = cache.values(slot, layer, head);
    for (int d = 0; d < width; d += kLanes) {
        Floats sums[Count];
        for (int i = 0; i < Count; ++i) sums[i] = _mm512_setzero_ps();
        for (int p = 0; p < length; ++p) {
            const Floats value = load_half(values + static_cast<size_t>(p) * cache.stride() + d);
            for (int i = 0; i < Count; ++i) {
                const Floats weight = _mm512_set1_ps(scores[static_cast<size_t>(i) * cache.context() + p]);
                sums[i] = _mm512_fmadd_ps(weight, value, sums[i]);
            }
        }
        const __mmask16 valid = width - d >= kLanes ? 0xffff : (1u << (width - d)) - 1;
        for (int i = 0; i < Count; ++i)
            _mm512_mask_storeu_ps(out + i * width + d, valid,
                                  _mm512_mul_ps(sums[i], _mm512_set1_ps(shrink[i])));
    }
}

// The same for any number of queries.
inline void attend(const Cache& cache, int slot, int layer, int head, int length, int count,
                   const float* queries, float* scores, float* out) {
    using Attend = void (*)(const Cache&, int, int, int, int, const float*, float*, float*);
    static constexpr Attend by_count[] = {attend<1>, attend<2>, attend<3>, attend<4>,
                                          attend<5>, attend<6>, attend<7>, attend<8>};
    for (int i = 0; i < count; i += kQueries) {
        const int now = count - i < kQueries ? count - i : kQueries;
        by_count[now - 1](cache, slot, layer, head, length, queries + i * cache.width(), scores,
                          out + i * cache.width());
    }
}
