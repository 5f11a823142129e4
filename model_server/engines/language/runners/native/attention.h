// The cache of keys and values, and attention over it.
#pragma once

#include <sys/mman.h>

#include <cstring>
#include <limits>
#include <new>

#include "vectors.h"

constexpr int kQueries = 8;

// Half-precision keys and values of every slot, layer and head. Keys are stored in blocks of as many positions
// as a vector has lanes, each ordered by dimension, so that the scores of a block are one vector. Values are ordered by
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

// How many vectors of keys or values are read together with `count` queries: as many as fit into the registers with
// their sums and one more. Each number of a query, and each weight, is then read once for all of them.
constexpr int vectors_together(int count) {
    for (const int vectors : {4, 2})
        if (count * vectors + vectors + 1 <= kRegisters) return vectors;
    return 1;
}

// Write to `sums` the products of `Count` rows of `length` factors with as many rows of `Vectors` vectors of halves. The
// rows of factors are `factors_apart`, the rows of halves `rows_apart`, the vectors of a row `vectors_apart`.
template <int Count, int Vectors>
inline void sum_products(const float* factors, size_t factors_apart, const uint16_t* halves, size_t rows_apart,
                         size_t vectors_apart, int length, Floats (&sums)[Count][Vectors]) {
    // Not `sums` itself, which would be written at each step wherever this is not inlined.
    Floats own[Count][Vectors];
#pragma GCC unroll 8
    for (int i = 0; i < Count; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) own[i][v] = broadcast(0.0f);
    for (int k = 0; k < length; ++k) {
        Floats row[Vectors];
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) row[v] = load_halves(halves + k * rows_apart + v * vectors_apart);
#pragma GCC unroll 8
        for (int i = 0; i < Count; ++i) {
            const Floats factor = broadcast(factors[i * factors_apart + k]);
#pragma GCC unroll 8
            for (int v = 0; v < Vectors; ++v) own[i][v] = multiply_add(factor, row[v], own[i][v]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < Count; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) sums[i][v] = own[i][v];
}

// Write the raw scores of `Count` queries with `Blocks` blocks of keys to `scores` [Count][context], and minus infinity
// from `left` keys on. `best` gets the largest score of each lane so far.
template <int Count, int Blocks>
inline void score_blocks(const Cache& cache, const float* queries, const uint16_t* keys, int left, float* scores,
                         Floats* best) {
    const size_t width = cache.width();
    Floats sums[Count][Blocks];
    sum_products(queries, width, keys, kLanes, width * kLanes, cache.width(), sums);
    const Floats least = broadcast(-std::numeric_limits<float>::infinity());
    for (int i = 0; i < Count; ++i)
        for (int b = 0; b < Blocks; ++b) {
            const Floats one = first_lanes(left - b * kLanes, sums[i][b], least);
            best[i] = maximum(best[i], one);
            store(scores + static_cast<size_t>(i) * cache.context() + b * kLanes, one);
        }
}

// Write the raw scores of `Count` queries with `length` keys to `scores` [Count][context], and minus
// infinity after the last one, up to a whole vector. `best` gets the largest score of each lane.
template <int Count>
inline void compute_scores(const Cache& cache, const float* queries, const uint16_t* keys, int length,
                           float* scores, Floats* best) {
    constexpr int blocks = vectors_together(Count), together = blocks * kLanes;
    const size_t width = cache.width();
#pragma GCC unroll 8
    for (int i = 0; i < Count; ++i) best[i] = broadcast(-std::numeric_limits<float>::infinity());
    int from = 0;
    for (; from + together <= length; from += together)
        score_blocks<Count, blocks>(cache, queries, keys + from * width, length - from, scores + from, best);
    for (; from < length; from += kLanes)
        score_blocks<Count, 1>(cache, queries, keys + from * width, length - from, scores + from, best);
}

// Turn the scores of one query into unnormalised softmax weights, and return their sum.
inline float exponentiate_scores(float* scores, int length, Floats best) {
    const Floats top = broadcast(maximum(best));
    Floats total = broadcast(0.0f);
    for (int from = 0; from < length; from += kLanes) {
        const Floats weight = first_lanes(length - from, exponential(load(scores + from) - top), broadcast(0.0f));
        total = total + weight;
        store(scores + from, weight);
    }
    return sum(total);
}

// Write to `out` the sums of `length` values, weighted by `scores` [Count][context] and multiplied by `shrink` [Count],
// in the dimensions of `Vectors` vectors, of which `left` exist.
template <int Count, int Vectors>
inline void add_values(const Cache& cache, const uint16_t* values, int length, const float* scores, const float* shrink,
                       int left, float* out) {
    Floats sums[Count][Vectors];
    sum_products(scores, cache.context(), values, cache.stride(), kLanes, length, sums);
    for (int i = 0; i < Count; ++i)
        for (int v = 0; v < Vectors; ++v)
            store_first(left - v * kLanes, out + i * cache.width() + v * kLanes, sums[i][v] * broadcast(shrink[i]));
}

// Write to `out` [Count][width] the attention of `Count` queries [Count][width], which share a head of keys,
// over `length` positions. `scores` is scratch memory for [Count][context] numbers.
template <int Count>
void attend(const Cache& cache, int slot, int layer, int head, int length, const float* queries,
            float* scores, float* out) {
    constexpr int vectors = vectors_together(Count), together = vectors * kLanes;
    const int width = cache.width();
    Floats best[Count];
    float shrink[Count];
    compute_scores<Count>(cache, queries, cache.keys(slot, layer, head), length, scores, best);
#pragma GCC unroll 8
    for (int i = 0; i < Count; ++i)
        shrink[i] =
            1.0f / exponentiate_scores(scores + static_cast<size_t>(i) * cache.context(), length, best[i]);
    const uint16_t* values = cache.values(slot, layer, head);
    int d = 0;
    for (; d + together <= width; d += together)
        add_values<Count, vectors>(cache, values + d, length, scores, shrink, width - d, out + d);
    for (; d < width; d += kLanes)
        add_values<Count, 1>(cache, values + d, length, scores, shrink, width - d, out + d);
}

using Attend = void (*)(const Cache&, int, int, int, int, const float*, float*, float*);

// Not in the function: static variables of inline functions are shared by all libraries of a process, also by those for
// other instructions.
constexpr Attend kAttendByCount[] = {attend<1>, attend<2>, attend<3>, attend<4>,
                                     attend<5>, attend<6>, attend<7>, attend<8>};

// The same for any number of queries.
inline void attend(const Cache& cache, int slot, int layer, int head, int length, int count,
                   const float* queries, float* scores, float* out) {
    for (int i = 0; i < count; i += kQueries) {
        const int now = count - i < kQueries ? count - i : kQueries;
        kAttendByCount[now - 1](cache, slot, layer, head, length, queries + i * cache.width(), scores,
                                out + i * cache.width());
    }
}
