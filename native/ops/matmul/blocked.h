// The driver that all kernel families share: blocks, packing, threads (after Goto & van de Geijn 2008, Van Zee & van de Geijn 2015).
//
// One factor is kept: packed once, by all threads, then read by all tasks. The other one is cut into blocks that fit a core's L2; a task
// packs its block and multiplies it with the whole kept factor, tile by tile: kept from L1, other from L2. plan.h has the loops.
//
// Order of sums: a tile starts at zero, runs through its part of the inner dimension in order of k, and is then added to the result
// of the parts before (a bfloat16 result: to float32 sums of the parts, and those at the end to what it accumulates to). The parts depend on
// the weight's shape and the kernel family, for dweight on the number of tokens and its dtype; nothing else changes a bit.
//
// A kernel family is a struct:
//   kFamily                           what the plan must know of it
//   pack_rows, pack_cols              one or two panels for either side of the product
//   State                             set up per task, e.g. AMX's tile configuration
//   tile(panels, sink)
#pragma once
#include "ops/matmul/pack.h"
#include "ops/matmul/plan.h"

namespace gt::cpu {
namespace {

GT_INLINE void put16(float* p, f32x16 v) { store16(p, v); }
GT_INLINE void put16(bf16* p, f32x16 v) {
#if defined(__AVX512BF16__)
  const __m256bh rounded = _mm512_cvtneps_pbh((__m512)v);  // one instruction for store16's seven; subnormal results become zero
  __builtin_memcpy(p, &rounded, 32);
#else
  store16(p, v);
#endif
}

// Where a tile goes: out = (plus +) tile, or out += (plus +) tile. `rows` and `cols` may be less than the tile's.
template <class Out>
struct Sink {
  Out* out;
  const float* plus;  // null: nothing to add
  bool add_to_out;
  int64_t stride, plus_stride;
  int64_t rows, cols;

  // Asks for what put() will add, while the tile is computed.
  void prefetch(int64_t row) const {
    if (plus)
      for (int64_t c = 0; c < cols; c += kLanes) __builtin_prefetch(plus + row * plus_stride + c, 1);
    if (add_to_out)
      for (int64_t c = 0; c < cols; c += 64 / int64_t(sizeof(Out))) __builtin_prefetch(out + row * stride + c, 1);
  }
  // Row `row`, columns [c, c + 16), all of them there.
  __attribute__((always_inline)) void put_whole(int64_t row, int64_t c, f32x16 v) const {
    if (plus) v = load16(plus + row * plus_stride + c) + v;
    if (add_to_out) v = load16(out + row * stride + c) + v;
    put16(out + row * stride + c, v);
  }
  // Row `row`, columns [16 panel, 16 panel + 16).
  __attribute__((always_inline)) void put(int64_t row, int64_t panel, f32x16 v) const {
    const int64_t c = panel * kLanes, n = cols - c;
    if (n >= kLanes) return put_whole(row, c, v);
    if (plus) v = load_part(plus + row * plus_stride + c, n) + v;
    if (add_to_out) v = load_part(out + row * stride + c, n) + v;
    store_part(out + row * stride + c, v, n);
  }
};

// What a tile is made of: panel n of the left factor is at a + n * stride, of the right one at b + n * stride.
struct Panels {
  const uint32_t *a, *b;
  int64_t stride;  // in units of 4 bytes
  int64_t units;   // to multiply
  bool reuse_b;    // the next tile has the same b, else the same a
};

template <class Kernel>
void run(Threads& threads, void* scratch, const Product& p) {
  const Plan plan = make_plan(Kernel::kFamily, threads.count(), p);
  uint32_t* const words = static_cast<uint32_t*>(scratch);
  const bool narrow = p.out_type == DType::bf16;

  for_each_step(plan, [&](const Step& step) {
    const auto pack = [&](bool as_b, const Pair& pair) {
      if (as_b) Kernel::pack_cols(words + pair.at, p.b, pair.row, pair.rows, step.k, step.k_count, step.units);
      else Kernel::pack_rows(words + pair.at, p.a, pair.row, pair.rows, step.k, step.k_count, step.units);
    };
    threads.run(plan.pairs(step.s_count), [&](int64_t i) { pack(p.keep_b, plan.kept_pair(step, i)); });

    const auto multiply = [&](const Tile& tile) {
      const Panels panels{words + tile.a, words + tile.b, tile.stride, tile.units, p.keep_b};
      const int64_t at = tile.row * p.cols + tile.col;
      float* const sums = plan.sum_words ? reinterpret_cast<float*>(words) + tile.sum : nullptr;
      if (narrow && tile.last) {
        const float* const plus = tile.first ? nullptr : sums;
        Kernel::tile(panels, Sink<bf16>{static_cast<bf16*>(p.out) + at, plus, p.accumulate, p.cols, plan.sum_stride(), tile.rows, tile.cols});
      } else {
        float* const out = narrow ? sums : static_cast<float*>(p.out) + at;
        const int64_t stride = narrow ? plan.sum_stride() : p.cols;
        const bool adds = !tile.first || (p.accumulate && !narrow);
        Kernel::tile(panels, Sink<float>{out, adds ? out : nullptr, false, stride, stride, tile.rows, tile.cols});
      }
    };

    // A slot a thread; they share the blocks out among themselves.
    std::atomic<int64_t> next{0};
    threads.run(std::min<int64_t>(threads.count(), plan.blocks()), [&](int64_t slot) {
      [[maybe_unused]] typename Kernel::State state;
      for (int64_t block; (block = next.fetch_add(1, std::memory_order_relaxed)) < plan.blocks();) {
        const Task task = plan.task(slot, block);
        for (int64_t i = 0; i < plan.pairs(task.t_count); i++) pack(!p.keep_b, plan.other_pair(step, task, i));
        for_each_tile(plan, step, task, multiply);
      }
    });
  });
}

}  // namespace
}  // namespace gt::cpu
