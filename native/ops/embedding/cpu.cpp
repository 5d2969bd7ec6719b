// CPU backend of embedding: rows in parallel forward, unique ids in parallel backward.
#include "ops/embedding/cpu.h"

#include "cpu/rows.h"

namespace gt::cpu {
namespace {

constexpr int64_t kRows = 16;  // tokens per task
constexpr int64_t kIds = 4;    // unique ids per task: few, since one id may own most tokens (padding, <bos>)

template <class E>
__attribute__((flatten)) void gather_scaled(float* x, const E* table, const int32_t* ids, int64_t begin, int64_t end, int64_t C, float scale) {
  for (int64_t t = begin; t < end; t++) {
    const E* row = table + int64_t(ids[t]) * C;
    lanes(C, [&](int64_t c, int64_t n) { put(x + t * C + c, scale * get(row + c, n), n); });
  }
}

void forward(Threads& threads, float* x, const void* table, DType table_type, const int32_t* ids, int64_t T, int64_t C, float scale) {
  with_type(table_type, [&](auto* e) {
    threads.ranges(T, kRows, [&](int64_t begin, int64_t end) { gather_scaled(x, (decltype(e))table, ids, begin, end, C, scale); });
  });
}

template <class E>
__attribute__((flatten)) void add_group(E* row, const float* dx, const int32_t* positions, int64_t count, int64_t C, float scale) {
  lanes(C, [&](int64_t c, int64_t n) {
    f32x16 v = get(row + c, n);
    for (int64_t i = 0; i < count; i++) v += scale * get(dx + int64_t(positions[i]) * C + c, n);
    put(row + c, v, n);
  });
}

void backward(Threads& threads, void* dtable, DType table_type, const float* dx, const int32_t* ids, const int32_t* order, const int32_t* starts, int64_t G, int64_t C, float scale) {
  with_type(table_type, [&](auto* e) {
    threads.ranges(G, kIds, [&](int64_t begin, int64_t end) {
      for (int64_t g = begin; g < end; g++)
        add_group((decltype(e))dtable + int64_t(ids[order[starts[g]]]) * C, dx, order + starts[g], starts[g + 1] - starts[g], C, scale);
    });
  });
}

}  // namespace

extern const Embedding GT_TABLE(embedding);
const Embedding GT_TABLE(embedding) = {forward, backward};

}  // namespace gt::cpu
