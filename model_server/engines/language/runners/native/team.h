// Threads that compute one step together.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <thread>

// Work is handed out piece by piece, because other processes may interrupt any of the threads at any time.
// A waiting thread spins briefly, since a piece takes microseconds, and then yields its core.
class Team {
public:
    void begin(int size) {
        size_ = size;
        waiting_ = 0;
        next_ = 0;
    }

    // Called by all threads: `work(i)` runs once for each i below `count`, on any thread, and all are
    // finished on return. A thread takes neighbours, because it prefetches what follows: many at first, and one in
    // the end, so that all are ready at about the same time.
    template <typename Work>
    void share(int count, Work&& work) {
        for (int i = next_.load(std::memory_order_relaxed); i < count;) {
            const int end = i + std::max(1, (count - i) / (size_ * kParts));
            if (!next_.compare_exchange_weak(i, end, std::memory_order_relaxed)) continue;
            for (; i < end; ++i) work(i);
            i = next_.load(std::memory_order_relaxed);
        }
        wait_for_all();
    }

private:
    void wait_for_all() {
        const unsigned round = round_.load(std::memory_order_acquire);
        if (waiting_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
            waiting_.store(0, std::memory_order_relaxed);
            next_.store(0, std::memory_order_relaxed);
            round_.store(round + 1, std::memory_order_release);
            return;
        }
        for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins)
            if (spins < kSpins)
                _mm_pause();
            else
                std::this_thread::yield();
    }

    static constexpr int kSpins = 4000;
    static constexpr int kParts = 2;  // a thread takes its share of what is left, divided by this
    int size_ = 1;
    alignas(64) std::atomic<int> next_{0};
    alignas(64) std::atomic<int> waiting_{0};
    alignas(64) std::atomic<unsigned> round_{0};
};
