// Threads that compute one step together.
#pragma once

#include <immintrin.h>
#include <omp.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

// Each thread has its part of the work, but takes it piece by piece, so that the others can do it too: other processes
// may interrupt any of the threads at any time.
// A waiting thread spins briefly, since a piece takes microseconds, and then yields its core.
class Team {
public:
    explicit Team(int largest) : taken_(std::make_unique<Taken[]>(largest)) {}

    void begin(int size) {
        size_ = size;
        start_anew();
    }

    // Called by all threads: `work(i)` runs once for each i below `count`, on any thread, and all are finished on
    // return. A thread does neighbours one after the other, because it prefetches what follows, and then helps others.
    template <typename Work>
    void share(int count, Work&& work) {
        const int own = omp_get_thread_num();
        for (int other = 0; other < size_; ++other) {
            const int part = (own + other) % size_;
            const int first = first_of(part, count), length = first_of(part + 1, count) - first;
            for (int i; (i = taken_[part].count.fetch_add(1, std::memory_order_relaxed)) < length;) work(first + i);
        }
        wait_for_all();
    }

private:
    struct alignas(64) Taken {
        std::atomic<int> count;
    };

    int first_of(int part, int count) const { return static_cast<int>(static_cast<int64_t>(count) * part / size_); }

    void start_anew() {
        waiting_.store(0, std::memory_order_relaxed);
        for (int i = 0; i < size_; ++i) taken_[i].count.store(0, std::memory_order_relaxed);
    }

    void wait_for_all() {
        const unsigned round = round_.load(std::memory_order_acquire);
        if (waiting_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
            start_anew();
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
    int size_ = 1;
    std::unique_ptr<Taken[]> taken_;  // how many pieces of each thread's are taken
    alignas(64) std::atomic<int> waiting_{0};
    alignas(64) std::atomic<unsigned> round_{0};
};
