// What a task's scratch is cut into. Part of the backends' files, like tiles.h.
#pragma once
#include <utility>

#include "cpu/vec.h"
#include "ops/attention/cpu.h"

namespace gt::cpu {
namespace {

constexpr int64_t kOwned = kAttentionOwned, kStreamed = kAttentionStreamed;

// A block of rows that streams past: `rows` [streamed, units of D] for `products`, `pairs` [units of streamed, D] for `accumulate`.
struct Streamed {
  float *rows, *pairs;
  int64_t stride;  // of `rows`; that of `pairs` is attention_row_stride(D)
};

// attention_scratch(D) floats, which are enough for units of one element and for pairs.
template <class Math>
struct Scratch {
  float *owned, *owned2;      // [units of D, kOwned]
  float *sums, *sums2;        // [kOwned, attention_row_stride(D)]
  float *scores, *scores2;    // [kStreamed, kOwned]
  Streamed streamed, streamed2;
  Scratch(float* p, int64_t D) {
    constexpr int64_t per = Math::kPerUnit;
    const int64_t stride = attention_row_stride(D), units = (D + per - 1) / per;
    const auto take = [&](int64_t n) { return std::exchange(p, p + (n + kLanes - 1) / kLanes * kLanes); };
    owned = take(units * kOwned), owned2 = take(units * kOwned);
    sums = take(kOwned * stride), sums2 = take(kOwned * stride);
    scores = take(kStreamed * kOwned), scores2 = take(kStreamed * kOwned);
    for (Streamed* s : {&streamed, &streamed2}) {
      s->stride = attention_row_stride(units);
      s->rows = take(kStreamed * s->stride);
      s->pairs = per == 1 ? s->rows : take(kStreamed / per * stride);
    }
  }
};

}  // namespace
}  // namespace gt::cpu
