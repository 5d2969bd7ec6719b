// The driver that all kernel families share: blocks, packing, threads (after Goto & van de Geijn 2008, Van Zee & van de Geijn 2015).
//
// One factor is kept: packed once, then read by all tasks. The other one is cut into blocks that fit a core's L2; a task packs its
// block and multiplies it with the whole kept factor:
//
//   for s in kept rows, steps of kept_block             (one step, but for thousands of tokens)
//     for k in inner, steps of inner_block              (hundreds for the head's backward_input, else one to four)
//       pack kept[s, k]                                 all threads, then a barrier
//       for t in the other factor's rows, tasks         each thread: pack other[t, k], then tiles: kept from L1, other from L2
//
// Order of sums: a tile starts at zero, runs through its part of the inner dimension in order of k, and is then added to the result
// of the parts before (a bfloat16 result that accumulates: to float32 sums of the parts, and those at the end to the result). The parts depend on
// the weight's shape and the kernel family, for dweight on the number of tokens and its dtype; nothing else changes a bit.
//
// A kernel family is a struct:
//   kRowPanels, kColPanels            largest tile, in panels of 16
//   kUnitStep, kPerUnit               a panel's length is a multiple of kUnitStep units of kPerUnit elements
//   kTileInner                        elements of the inner dimension that a tile runs through
//   pack_rows, pack_cols              one or two panels for either side of the product
//   State                             set up per task, e.g. AMX's tile configuration
//   tile(panels, sink)
#pragma once
#include "ops/matmul/pack.h"

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
  int64_t stride;     // of both
  int64_t rows, cols;

  // Asks for what put() will add, while the tile is computed.
  void prefetch(int64_t row) const {
    if (plus)
      for (int64_t c = 0; c < cols; c += kLanes) __builtin_prefetch(plus + row * stride + c, 1);
    if (add_to_out)
      for (int64_t c = 0; c < cols; c += 64 / int64_t(sizeof(Out))) __builtin_prefetch(out + row * stride + c, 1);
  }
  // Row `row`, columns [c, c + 16), all of them there.
  __attribute__((always_inline)) void put_whole(int64_t row, int64_t c, f32x16 v) const {
    if (plus) v = load16(plus + row * stride + c) + v;
    if (add_to_out) v = load16(out + row * stride + c) + v;
    put16(out + row * stride + c, v);
  }
  // Row `row`, columns [16 panel, 16 panel + 16).
  __attribute__((always_inline)) void put(int64_t row, int64_t panel, f32x16 v) const {
    const int64_t c = panel * kLanes, n = cols - c;
    if (n >= kLanes) return put_whole(row, c, v);
    if (plus) v = load_part(plus + row * stride + c, n) + v;
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

struct Plan {
  int64_t kept_rows, other_rows;               // of the whole factors
  int64_t kept_block, other_block, inner_block;  // rows, rows, elements
  int64_t units, tile_units;                     // per panel, per tile
  int64_t kept_floats, other_floats, sum_floats;  // scratch: the kept panels, one thread's block, float32 sums between inner blocks
};

constexpr int64_t kLongInner = 4096, kWide = 16384;
constexpr int64_t kKeptFloats = 1 << 20, kOtherFloats = 1 << 17, kSumFloats = 3 << 17;  // 4 MB, 512 KB, 1.5 MB

// n cut into as few pieces of at most `most` as possible, all but the last of one size, a multiple of `step` (as `most` is).
GT_INLINE int64_t piece(int64_t n, int64_t most, int64_t step) {
  const int64_t pieces = (n + most - 1) / most;
  return up((n + pieces - 1) / pieces, step);
}

template <class Kernel>
Plan make_plan(int threads, const Product& p) {
  constexpr int64_t row_tile = Kernel::kRowPanels * kPanel, col_tile = Kernel::kColPanels * kPanel;
  const int64_t kept_tile = p.keep_b ? col_tile : row_tile, other_tile = p.keep_b ? row_tile : col_tile;
  Plan plan{};
  plan.kept_rows = p.keep_b ? p.cols : p.rows;
  plan.other_rows = p.keep_b ? p.rows : p.cols;
  // A result that may be larger than all caches is read and written once per block of the inner dimension: few blocks where it
  // accumulates. Where it is bfloat16, its blocks and tiles are summed in float32 first, for which there is little room: where it
  // accumulates or is wide, one tile runs through a whole block.
  const bool through = p.out_type != DType::f32 && (p.accumulate || plan.other_rows >= kWide);
  const int64_t longest = p.accumulate || through ? kLongInner : Kernel::kTileInner;
  const int64_t longest_tile = through ? kLongInner : Kernel::kTileInner;
  plan.inner_block = piece(std::max<int64_t>(1, p.inner), longest, Kernel::kPerUnit * Kernel::kUnitStep);
  plan.units = plan.inner_block / Kernel::kPerUnit;
  plan.tile_units = piece(plan.units, longest_tile / Kernel::kPerUnit, Kernel::kUnitStep);
  const bool sums = (p.inner > plan.inner_block || plan.units > plan.tile_units) && p.out_type != DType::f32;

  int64_t most = kKeptFloats / plan.units;
  if (sums) most = std::min(most, kSumFloats / plan.other_rows);
  plan.kept_block = piece(plan.kept_rows, std::max(kept_tile, most / kept_tile * kept_tile), kept_tile);
  // Several blocks per thread, so that a late thread does not hold up the rest.
  const int64_t fair = (plan.other_rows + 8 * threads - 1) / (8 * threads);
  plan.other_block = std::max(other_tile, std::min(kOtherFloats / plan.units / other_tile * other_tile, up(fair, other_tile)));

  plan.kept_floats = up(plan.kept_block, kPanel) * plan.units;
  plan.other_floats = plan.other_block * plan.units;
  plan.sum_floats = sums ? plan.kept_block * plan.other_rows : 0;
  return plan;
}

template <class Kernel>
size_t scratch_bytes(int threads, const Product& p) {
  const Plan plan = make_plan<Kernel>(threads, p);
  return size_t(plan.kept_floats + threads * plan.other_floats + plan.sum_floats) * 4;
}

template <class Kernel>
void pack(bool as_b, uint32_t* to, const Product& p, int64_t row, int64_t rows, int64_t k, int64_t inner, int64_t units) {
  for (int64_t r = 0; r < rows; r += 2 * kPanel) {
    const int64_t count = std::min(2 * kPanel, rows - r);
    if (as_b) Kernel::pack_cols(to + r * units, p.b, row + r, count, k, inner, units);
    else Kernel::pack_rows(to + r * units, p.a, row + r, count, k, inner, units);
  }
}

template <class Kernel>
void run(Threads& threads, void* scratch, const Product& p) {
  const Plan plan = make_plan<Kernel>(threads.count(), p);
  uint32_t* const kept = static_cast<uint32_t*>(scratch);
  uint32_t* const others = kept + plan.kept_floats;
  float* const sums = reinterpret_cast<float*>(others + threads.count() * plan.other_floats);
  constexpr int64_t row_tile = Kernel::kRowPanels * kPanel, col_tile = Kernel::kColPanels * kPanel;

  for (int64_t s = 0; s < plan.kept_rows; s += plan.kept_block) {
    const int64_t s_count = std::min(plan.kept_block, plan.kept_rows - s);
    for (int64_t k = 0; k == 0 || k < p.inner; k += plan.inner_block) {
      const int64_t inner = std::min(plan.inner_block, p.inner - k);
      const int64_t units = up((inner + Kernel::kPerUnit - 1) / Kernel::kPerUnit, Kernel::kUnitStep);
      const bool last = k + inner == p.inner;
      threads.ranges(s_count, 2 * kPanel, [&](int64_t begin, int64_t end) {
        pack<Kernel>(p.keep_b, kept + begin * units, p, s + begin, end - begin, k, inner, units);
      });

      // Rows [i, i + rows) and columns [j, j + cols) from packed panels, tile by tile.
      const auto multiply = [&](const uint32_t* a, const uint32_t* b, int64_t i, int64_t rows, int64_t j, int64_t cols) {
        for (int64_t u = 0; u == 0 || u < units; u += plan.tile_units) {
          const int64_t u_count = std::min(plan.tile_units, units - u);
          const bool to_sums = plan.sum_floats && !(last && u + u_count == units);
          const auto tile = [&](int64_t r, int64_t c) {
            const int64_t tile_rows = std::min(row_tile, rows - r), tile_cols = std::min(col_tile, cols - c);
            const int64_t at = (i + r) * p.cols + j + c;
            const Panels panels{a + r * units + u * kPanel, b + c * units + u * kPanel, units * kPanel, u_count, p.keep_b};
            float* const sum = plan.sum_floats ? sums + at - s * p.cols : static_cast<float*>(p.out) + at;
            const bool narrow = p.out_type == DType::bf16;
            const float* const plus = k > 0 || u > 0 || (p.accumulate && !narrow) ? sum : nullptr;
            if (narrow && !to_sums) Kernel::tile(panels, Sink<bf16>{static_cast<bf16*>(p.out) + at, plus, p.accumulate, p.cols, tile_rows, tile_cols});
            else Kernel::tile(panels, Sink<float>{sum, plus, false, p.cols, tile_rows, tile_cols});
          };
          if (p.keep_b) {
            for (int64_t c = 0; c < cols; c += col_tile)
              for (int64_t r = 0; r < rows; r += row_tile) tile(r, c);
          } else {
            for (int64_t r = 0; r < rows; r += row_tile)
              for (int64_t c = 0; c < cols; c += col_tile) tile(r, c);
          }
        }
      };

      // One task per thread, each with its own buffer; they share the blocks out among themselves.
      const int64_t blocks = (plan.other_rows + plan.other_block - 1) / plan.other_block;
      std::atomic<int64_t> next{0};
      threads.run(std::min<int64_t>(threads.count(), blocks), [&](int64_t slot) {
        [[maybe_unused]] typename Kernel::State state;
        uint32_t* const other = others + slot * plan.other_floats;
        for (int64_t block; (block = next.fetch_add(1, std::memory_order_relaxed)) < blocks;) {
          const int64_t t = block * plan.other_block, t_count = std::min(plan.other_block, plan.other_rows - t);
          pack<Kernel>(!p.keep_b, other, p, t, t_count, k, inner, units);
          if (p.keep_b) multiply(other, kept, t, t_count, s, s_count);
          else multiply(kept, other, s, s_count, t, t_count);
        }
      });
    }
  }
}

}  // namespace
}  // namespace gt::cpu
