// One step of a decoder like Llama's and Qwen2's, for a batch of rows from any sequences.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <vector>

#include "attention.h"
#include "matrix.h"
#include "team.h"

extern "C" {
struct Shape {
    int layers, hidden, inner, heads, key_heads, head_width, vocabulary, context, slots, rows, threads;
    float epsilon;
};

// The weights of one layer, in memory that outlives the decoder. Vectors as wide as a row are padded with zeros to a
// multiple of 64; norms of single heads are not. Null: the layer has no such norm or bias.
struct Layer {
    const float *attention_norm, *inner_norm, *query_norm, *key_norm, *query_bias, *key_bias, *value_bias;
    Matrix query, key, value, output, gate, up, down;
};

// The weights that belong to no layer. The embedding is as in the file: [vocabulary][hidden].
struct Shared {
    const float *norm, *cosines, *sines;  // rotations: [context][head_width / 2]
    Matrix logits, embedding;
};
}

namespace {

constexpr int kRowsAtOnce = 64;

template <typename T>
struct Buffer {
    explicit Buffer(size_t count)
        : data(static_cast<T*>(std::aligned_alloc(64, (count * sizeof(T) + 63) / 64 * 64))) {
        if (!data) throw std::bad_alloc();
        std::memset(data.get(), 0, count * sizeof(T));
    }
    T* get() const { return data.get(); }

private:
    struct Free {
        void operator()(T* pointer) const { std::free(pointer); }
    };
    std::unique_ptr<T, Free> data;
};

struct RowBuffers {
    // Kernels read rows in eights.
    RowBuffers(int rows, int width)
        : groups(width / kGroup),
          values(round_up(rows, kKernelRows) * static_cast<size_t>(width)),
          scales(round_up(rows, kKernelRows) * static_cast<size_t>(2 * groups)),
          totals(round_up(rows, kKernelRows) * static_cast<size_t>(groups)),
          negative_sums(round_up(rows, kKernelRows) * static_cast<size_t>(3 * groups)) {}

    // Room for `count` rows, which are written and read as so many.
    Rows rows(int count) const {
        const int together = count > 4 ? kKernelRows : count > 2 ? 4 : count;
        return {values.get(), scales.get(), totals.get(), negative_sums.get(), groups, together};
    }

private:
    int groups;
    Buffer<int8_t> values;
    Buffer<float> scales, totals;
    Buffer<int32_t> negative_sums;
};

struct Scratch {
    explicit Scratch(int context)
        : sums(kRowsAtOnce * kColumns),
          more_sums(kRowsAtOnce * kColumns),
          scores(static_cast<size_t>(kQueries) * context) {}
    Buffer<float> sums, more_sums, scores;
};

struct Positions {
    const int *slots, *places;
};

class Decoder {
public:
    Decoder(const Shape& shape, const Layer* layers, const Shared& shared)
        : shape_(shape),
          layers_(layers, layers + shape.layers),
          shared_(shared),
          hidden_(round_up(shape.hidden, kColumns)),
          inner_(round_up(shape.inner, kColumns)),
          attended_width_(round_up(shape.heads * shape.head_width, kColumns)),
          keys_at_(round_up(shape.heads * shape.head_width, kColumns)),
          values_at_(keys_at_ + round_up(shape.key_heads * shape.head_width, kColumns)),
          projected_width_(2 * values_at_ - keys_at_),
          cache_(shape.slots, shape.layers, shape.key_heads, shape.context, shape.head_width),
          stream_(static_cast<size_t>(shape.rows) * hidden_),
          projected_(static_cast<size_t>(shape.rows) * projected_width_),
          attended_(static_cast<size_t>(shape.rows) * attended_width_),
          quantised_input_(shape.rows, hidden_),
          quantised_attended_(shape.rows, attended_width_),
          quantised_inner_(shape.rows, inner_),
          team_(shape.threads) {
        for (int i = 0; i < shape.threads; ++i)
            scratch_.push_back(std::make_unique<Scratch>(cache_.context()));
    }

    void step(int rows, const int* tokens, Positions positions, int wanted, const int* wanted_rows,
              float* logits) {
#pragma omp parallel num_threads(shape_.threads)
        {
#pragma omp single
            team_.begin(omp_get_num_threads());
            Scratch& scratch = *scratch_[omp_get_thread_num()];
            team_.share(rows, [&](int row) { embed(tokens[row], stream(row)); });
            for (int layer = 0; layer < shape_.layers; ++layer) {
                attention(layer, rows, positions, scratch);
                feed_forward(layers_[layer], rows, scratch);
            }
            predict(wanted, wanted_rows, logits, scratch);
        }
    }

    void copy(int source, int target, int length) { cache_.copy(source, target, length); }

private:
    float* stream(int row) { return stream_.get() + static_cast<size_t>(row) * hidden_; }
    float* projected(int row) { return projected_.get() + static_cast<size_t>(row) * projected_width_; }
    float* attended(int row) { return attended_.get() + static_cast<size_t>(row) * attended_width_; }

    void attention(int index, int rows, Positions positions, Scratch& scratch) {
        const Layer& layer = layers_[index];
        const Rounding rounding = shared_rounding(layer.query, layer.key, layer.value);
        normalise(rows, [&](int row) { return stream(row); }, layer.attention_norm, rounding);
        const Product products[] = {{layer.query, layer.query_bias, 0},
                                    {layer.key, layer.key_bias, keys_at_},
                                    {layer.value, layer.value_bias, values_at_}};
        project(products, rows, scratch);
        team_.share(rows, [&](int row) { store_keys_and_values(index, row, positions); });
        const int sharing = shape_.heads / shape_.key_heads;
        team_.share(rows * shape_.key_heads, [&](int piece) {
            const int row = piece / shape_.key_heads, head = piece % shape_.key_heads;
            const int place = head * sharing * shape_.head_width;
            attend(cache_, positions.slots[row], index, head, positions.places[row] + 1, sharing,
                   projected(row) + place, scratch.scores.get(), attended(row) + place);
        });
        Rows quantised = quantised_attended_.rows(rows);
        share_groups(quantised, rows, [&](int row, int group, int end) {
            quantised.quantise(row, group, end, attended(row) + group * kGroup, rounding_for(layer.output.type));
        });
        add_product(layer.output, quantised_attended_.rows(rows), rows, scratch);
    }

    void feed_forward(const Layer& layer, int rows, Scratch& scratch) {
        const Rounding rounding = shared_rounding(layer.gate, layer.up);
        normalise(rows, [&](int row) { return stream(row); }, layer.inner_norm, rounding);
        const int parts = (rows + kRowsAtOnce - 1) / kRowsAtOnce;
        Rows inner = quantised_inner_.rows(rows);
        const Rounding inner_rounding = rounding_for(layer.down.type);
        constexpr int groups = kColumns / kGroup;
        // A tile of the gate and one of the up projection give whole groups of inputs for the down projection.
        team_.share(inner_ / kColumns * parts, [&](int piece) {
            const int tile = piece / parts, first = piece % parts * kRowsAtOnce;
            const int count = std::min(rows - first, kRowsAtOnce);
            float *gate = scratch.sums.get(), *up = scratch.more_sums.get();
            multiply_tile(layer.gate, tile, quantised_input_.rows(rows), first, count, gate);
            multiply_tile(layer.up, tile, quantised_input_.rows(rows), first, count, up);
            for (int row = 0; row < count; ++row) {
                for (int i = row * kColumns; i < (row + 1) * kColumns; i += kLanes)
                    store(gate + i, silu(load(gate + i)) * load(up + i));
                inner.quantise(first + row, tile * groups, (tile + 1) * groups, gate + row * kColumns,
                               inner_rounding);
            }
        });
        add_product(layer.down, inner, rows, scratch);
    }

    void predict(int wanted, const int* wanted_rows, float* logits, Scratch& scratch) {
        const Rounding rounding = rounding_for(shared_.logits.type);
        normalise(wanted, [&](int i) { return stream(wanted_rows[i]); }, shared_.norm, rounding);
        multiply(shared_.logits, quantised_input_.rows(wanted), wanted, scratch,
                [&](int row, int column, const float* sums) {
                    float* to = logits + static_cast<size_t>(row) * shape_.vocabulary + column;
                    std::memcpy(to, sums, sizeof(float) * std::min(kColumns, shape_.vocabulary - column));
                });
    }

    struct Product {
        const Matrix& matrix;
        const float* bias;
        int column;  // where it begins in `projected`
    };

    // Multiply the input by the matrices of queries, keys and values.
    void project(const Product (&products)[3], int rows, Scratch& scratch) {
        const int parts = (rows + kRowsAtOnce - 1) / kRowsAtOnce;
        team_.share(projected_width_ / kColumns * parts, [&](int piece) {
            const int column = piece / parts * kColumns, first = piece % parts * kRowsAtOnce;
            const int count = std::min(rows - first, kRowsAtOnce);
            const Product& product = products[column >= values_at_ ? 2 : column >= keys_at_ ? 1 : 0];
            const int tile = (column - product.column) / kColumns;
            multiply_tile(product.matrix, tile, quantised_input_.rows(rows), first, count, scratch.sums.get());
            for (int row = 0; row < count; ++row) {
                float* to = projected(first + row) + column;
                std::memcpy(to, scratch.sums.get() + row * kColumns, sizeof(float) * kColumns);
                for (int i = 0; product.bias && i < kColumns; ++i) to[i] += product.bias[tile * kColumns + i];
            }
        });
    }

    void embed(int token, float* to) const {
        const Matrix& embedding = shared_.embedding;
        const BlockSize size = block_size(embedding.type);
        const size_t row_bytes = static_cast<size_t>(shape_.hidden) / size.inputs * size.bytes;
        read_floats(embedding.type, embedding.data + token * row_bytes, shape_.hidden, to);
    }

    // Multiply rows by a matrix, and call `consume(row, first column, numbers)` for each row's 64 numbers of
    // a tile.
    template <typename Consume>
    void multiply(const Matrix& matrix, const Rows& from, int rows, Scratch& scratch, Consume&& consume) {
        const int parts = (rows + kRowsAtOnce - 1) / kRowsAtOnce;
        team_.share(matrix.tiles() * parts, [&](int piece) {
            const int tile = piece / parts, first = piece % parts * kRowsAtOnce;
            const int count = std::min(rows - first, kRowsAtOnce);
            multiply_tile(matrix, tile, from, first, count, scratch.sums.get());
            for (int row = 0; row < count; ++row)
                consume(first + row, tile * kColumns, scratch.sums.get() + row * kColumns);
        });
    }

    void add_product(const Matrix& matrix, const Rows& from, int rows, Scratch& scratch) {
        multiply(matrix, from, rows, scratch, [&](int row, int column, const float* sums) {
            float* to = stream(row) + column;
            for (int i = 0; i < kColumns; i += kLanes) store(to + i, load(to + i) + load(sums + i));
        });
    }

    // Call `work(row, first group, end)` for all groups of rows. Threads share the groups, since what is of one group in
    // neighbouring rows lies in the same cache lines, in which two threads would wait for each other.
    template <typename Work>
    void share_groups(const Rows& to, int rows, Work&& work) {
        constexpr int kParts = 4;
        if (!rows) return;
        const int blocks = (rows + to.together - 1) / to.together;
        team_.share(blocks * kParts, [&](int piece) {
            const int first = piece / kParts * to.together, part = piece % kParts;
            for (int row = first; row < std::min(rows, first + to.together); ++row)
                work(row, to.groups * part / kParts, to.groups * (part + 1) / kParts);
        });
    }

    // Quantise the root-mean-square norms of `source(row)` for the next product.
    template <typename Source>
    void normalise(int rows, Source&& source, const float* weights, Rounding rounding) {
        Rows to = quantised_input_.rows(rows);
        share_groups(to, rows, [&](int row, int group, int end) {
            const float* from = source(row);
            const Floats factor = broadcast(norm_factor(from));
            alignas(64) float numbers[kGroup];
            for (; group < end; ++group) {
                for (int i = 0; i < kGroup; i += kLanes) {
                    const int at = group * kGroup + i;
                    store(numbers + i, load(from + at) * factor * load(weights + at));
                }
                to.quantise(row, group, numbers, rounding);
            }
        });
    }

    // One divided by the root of the mean of the squares of a row.
    float norm_factor(const float* from) const {
        Floats squares = broadcast(0.0f);
        for (int i = 0; i < hidden_; i += kLanes) {
            const Floats x = load(from + i);
            squares = multiply_add(x, x, squares);
        }
        return 1.0f / std::sqrt(sum(squares) / shape_.hidden + shape_.epsilon);
    }

    // Rotate the row's queries and keys to its position, divide the queries by the square root of their
    // width, and write keys and values to the cache.
    void store_keys_and_values(int layer, int row, Positions positions) {
        const int width = shape_.head_width, place = positions.places[row];
        float* queries = projected(row);
        float* keys = queries + keys_at_;
        const float* values = queries + values_at_;
        const float shrink = 1.0f / std::sqrt(static_cast<float>(width));
        for (int head = 0; head < shape_.heads; ++head) {
            normalise_head(queries + head * width, layers_[layer].query_norm);
            rotate(queries + head * width, place, shrink);
        }
        for (int head = 0; head < shape_.key_heads; ++head) {
            normalise_head(keys + head * width, layers_[layer].key_norm);
            rotate(keys + head * width, place, 1.0f);
            cache_.write(positions.slots[row], layer, head, place, keys + head * width,
                         values + head * width);
        }
    }

    void normalise_head(float* head, const float* weights) const {
        if (!weights) return;
        float squares = 0;
        for (int i = 0; i < shape_.head_width; ++i) squares += head[i] * head[i];
        const float factor = 1.0f / std::sqrt(squares / shape_.head_width + shape_.epsilon);
        for (int i = 0; i < shape_.head_width; ++i) head[i] *= factor * weights[i];
    }

    void rotate(float* head, int place, float factor) const {
        const int half = shape_.head_width / 2;
        const float* cosines = shared_.cosines + static_cast<size_t>(place) * half;
        const float* sines = shared_.sines + static_cast<size_t>(place) * half;
#pragma omp simd
        for (int i = 0; i < half; ++i) {
            const float left = head[i], right = head[i + half];
            head[i] = (left * cosines[i] - right * sines[i]) * factor;
            head[i + half] = (right * cosines[i] + left * sines[i]) * factor;
        }
    }

    Shape shape_;
    std::vector<Layer> layers_;
    Shared shared_;
    int hidden_, inner_, attended_width_;  // padded widths
    int keys_at_, values_at_, projected_width_;
    Cache cache_;
    Buffer<float> stream_, projected_, attended_;
    RowBuffers quantised_input_, quantised_attended_, quantised_inner_;
    std::vector<std::unique_ptr<Scratch>> scratch_;
    Team team_;
};

}  // namespace

extern "C" {

// Returns null if there is not enough memory.
Decoder* decoder_create(const Shape* shape, const Layer* layers, const Shared* shared) {
    try {
        return new Decoder(*shape, layers, *shared);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

void decoder_destroy(Decoder* decoder) { delete decoder; }

// Writes logits [wanted][vocabulary] after the rows in `wanted_rows`.
void decoder_step(Decoder* decoder, int rows, const int* tokens, const int* slots, const int* positions,
                  int wanted, const int* wanted_rows, float* logits) {
    decoder->step(rows, tokens, {slots, positions}, wanted, wanted_rows, logits);
}

void decoder_copy(Decoder* decoder, int source, int target, int length) {
    decoder->copy(source, target, length);
}

// Returns the bytes of a packed matrix, or 0 for a type that is not supported.
size_t matrix_bytes(int type, int outputs, int inputs) {
    size_t bytes = 0;
    visit_format(type, [&](auto tag) { bytes = tile_bytes<typename decltype(tag)::type>(inputs); });
    return bytes * ((outputs + kColumns - 1) / kColumns);
}

// Pack a matrix into `target`, which is aligned to 64 bytes and must be zeros.
void matrix_pack(const Source* source, uint8_t* target, int threads) {
    const int tiles = (source->outputs + kColumns - 1) / kColumns;
    visit_format(source->type, [&](auto tag) {
        using Format = typename decltype(tag)::type;
#pragma omp parallel for num_threads(threads) schedule(dynamic)
        for (int tile = 0; tile < tiles; ++tile)
            pack_tile<Format>(*source, tile, target + tile * tile_bytes<Format>(source->inputs));
    });
}

// Multiply `count` rows of floats [count][inputs] by a packed matrix into `products` [count][outputs], on one thread.
// For tests.
void matrix_multiply(const Matrix* matrix, int count, const float* rows, float* products) {
    const int width = round_up(matrix->inputs, kColumns);
    const RowBuffers buffers(count, width);
    Rows quantised = buffers.rows(count);
    Buffer<float> row(width), sums(static_cast<size_t>(round_up(count, kKernelRows)) * kColumns);
    for (int r = 0; r < count; ++r) {
        std::memcpy(row.get(), rows + static_cast<size_t>(r) * matrix->inputs, sizeof(float) * matrix->inputs);
        quantised.quantise(r, 0, width / kGroup, row.get(), rounding_for(matrix->type));
    }
    for (int tile = 0; tile < matrix->tiles(); ++tile) {
        multiply_tile(*matrix, tile, quantised, 0, count, sums.get());
        const int columns = std::min(kColumns, matrix->outputs - tile * kColumns);
        for (int r = 0; r < count; ++r)
            std::memcpy(products + static_cast<size_t>(r) * matrix->outputs + tile * kColumns,
                        sums.get() + r * kColumns, sizeof(float) * columns);
    }
}
}
