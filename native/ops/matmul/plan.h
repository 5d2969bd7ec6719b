// How a product is cut, and where everything lies in scratch and in the result. Every address is made here: the driver (blocked.h) walks a
// plan with kernels, plan_test.cpp with checks.
//
//   for s in kept rows, steps of kept_block             (one, but for thousands of tokens)
//     for k in inner, steps of inner_block              (hundreds for the head's backward_input, else one to four)
//       pack kept[s, k]
//       for t in the other factor's rows, blocks        (tasks, each in the scratch of a thread's slot)
//         pack other[t, k]
//         for parts of the step's inner dimension, and rows and columns of the block: a tile
//
// Scratch is words of 4 bytes: the kept panels, then for each slot a block of the other factor, then sums. These are float32 sums of a
// bfloat16 result over the parts that are done, of one kept block at a time: its rows by all columns, or all rows by its columns.
#pragma once
#include <algorithm>

#include "ops/matmul/cpu.h"

namespace gt::cpu {
namespace {

constexpr int64_t kPanel = 16;
constexpr int64_t kLongInner = 4096, kWide = 16384;
constexpr int64_t kKeptWords = 1 << 20, kOtherWords = 1 << 17, kSumWords = 3 << 17;  // 4 MB, 512 KB, 1.5 MB

inline int64_t up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

// n cut into as few pieces of at most `most` as possible, all but the last of one size, a multiple of `step` (as `most` is).
inline int64_t piece(int64_t n, int64_t most, int64_t step) {
  const int64_t pieces = (n + most - 1) / most;
  return up((n + pieces - 1) / pieces, step);
}

// Kept rows [s, s + s_count) and elements [k, k + k_count) of the inner dimension, in panels of `units`.
struct Step {
  int64_t s, s_count, k, k_count, units;
};

// Rows [t, t + t_count) of the other factor, in the scratch of `slot`.
struct Task {
  int64_t slot, t, t_count;
};

// Up to two panels: rows [row, row + rows) of a factor, which go to word `at`.
struct Pair {
  int64_t at, row, rows;
};

// One tile and one part of the inner dimension.
struct Tile {
  int64_t a, b;                  // words at which the part begins in the first panel of either side
  int64_t stride, units;         // words from panel to panel; units to multiply
  int64_t row, col, rows, cols;  // of the result
  int64_t sum;                   // word of the sum of (row, col), where there are sums
  bool first, last;              // part of the inner dimension
};

struct Plan {
  Family family;
  int64_t rows, cols, inner;
  bool keep_b;
  int64_t kept_rows, other_rows;                 // of the whole factors
  int64_t kept_block, other_block, inner_block;  // rows, rows, elements
  int64_t tile_units;
  int64_t kept_words, other_words, sum_words;  // of the kept panels, of a slot, of the sums (0: none)
  int64_t others, sums, words;                 // where slots begin, sums begin, scratch ends

  int64_t blocks() const { return (other_rows + other_block - 1) / other_block; }
  Task task(int64_t slot, int64_t block) const { return {slot, block * other_block, std::min(other_block, other_rows - block * other_block)}; }

  static int64_t pairs(int64_t rows) { return (rows + 2 * kPanel - 1) / (2 * kPanel); }
  Pair kept_pair(const Step& s, int64_t i) const { return pair(kept_at(s, i * 2 * kPanel), s.s, s.s_count, i); }
  Pair other_pair(const Step& s, const Task& t, int64_t i) const { return pair(other_at(s, t, i * 2 * kPanel), t.t, t.t_count, i); }

  // The panel that begins with row r, a multiple of 16, of the step's kept block or of the task's block.
  static int64_t kept_at(const Step& s, int64_t r) { return r * s.units; }
  int64_t other_at(const Step& s, const Task& t, int64_t r) const { return others + t.slot * other_words + r * s.units; }

  // Sums lie as their kept block lies in the result.
  int64_t sum_stride() const { return keep_b ? kept_block : cols; }
  int64_t sum_at(const Step& s, int64_t row, int64_t col) const { return sums + (keep_b ? row * kept_block + col - s.s : (row - s.s) * cols + col); }

 private:
  static Pair pair(int64_t at, int64_t first, int64_t count, int64_t i) { return {at, first + i * 2 * kPanel, std::min(2 * kPanel, count - i * 2 * kPanel)}; }
};

inline Plan make_plan(const Family& f, int threads, const Product& p) {
  const int64_t row_tile = f.row_panels * kPanel, col_tile = f.col_panels * kPanel;
  const int64_t kept_tile = p.keep_b ? col_tile : row_tile, other_tile = p.keep_b ? row_tile : col_tile;
  Plan plan{};
  plan.family = f;
  plan.rows = p.rows, plan.cols = p.cols, plan.inner = p.inner, plan.keep_b = p.keep_b;
  plan.kept_rows = p.keep_b ? p.cols : p.rows;
  plan.other_rows = p.keep_b ? p.rows : p.cols;
  // A result that may be larger than all caches is read and written once per block of the inner dimension: few blocks where it
  // accumulates. Where it is bfloat16, its blocks and tiles are summed in float32 first, for which there is little room: where it
  // accumulates or is wide, one tile runs through a whole block.
  const bool narrow = p.out_type != DType::f32, through = narrow && (p.accumulate || plan.other_rows >= kWide);
  const int64_t longest = p.accumulate || through ? kLongInner : f.tile_inner;
  const int64_t longest_tile = through ? kLongInner : f.tile_inner;
  plan.inner_block = piece(std::max<int64_t>(1, p.inner), longest, f.per_unit * f.unit_step);
  const int64_t units = plan.inner_block / f.per_unit;
  plan.tile_units = piece(units, longest_tile / f.per_unit, f.unit_step);
  const bool sums = narrow && (p.inner > plan.inner_block || units > plan.tile_units);

  int64_t most = kKeptWords / units;
  if (sums) most = std::min(most, kSumWords / plan.other_rows);
  plan.kept_block = piece(plan.kept_rows, std::max(kept_tile, most / kept_tile * kept_tile), kept_tile);
  // Several blocks per thread, so that a late thread does not hold up the rest.
  const int64_t fair = (plan.other_rows + 8 * threads - 1) / (8 * threads);
  plan.other_block = std::max(other_tile, std::min(kOtherWords / units / other_tile * other_tile, up(fair, other_tile)));

  plan.kept_words = plan.kept_block * units;
  plan.other_words = plan.other_block * units;
  plan.sum_words = sums ? plan.kept_block * plan.other_rows : 0;
  plan.others = plan.kept_words;
  plan.sums = plan.others + threads * plan.other_words;
  plan.words = plan.sums + plan.sum_words;
  return plan;
}

inline size_t scratch_bytes(const Family& family, int threads, const Product& p) { return size_t(make_plan(family, threads, p).words) * 4; }

template <class Body>
void for_each_step(const Plan& p, const Body& body) {
  for (int64_t s = 0; s < p.kept_rows; s += p.kept_block)
    for (int64_t k = 0; k == 0 || k < p.inner; k += p.inner_block) {
      const int64_t count = std::min(p.inner_block, p.inner - k);
      body(Step{s, std::min(p.kept_block, p.kept_rows - s), k, count, up((count + p.family.per_unit - 1) / p.family.per_unit, p.family.unit_step)});
    }
}

// The tiles of a task: each of the kept factor's panels with all of the block's, then the next.
template <class Body>
void for_each_tile(const Plan& p, const Step& s, const Task& t, const Body& body) {
  const int64_t row_tile = p.family.row_panels * kPanel, col_tile = p.family.col_panels * kPanel;
  const int64_t row0 = p.keep_b ? t.t : s.s, rows = p.keep_b ? t.t_count : s.s_count;
  const int64_t col0 = p.keep_b ? s.s : t.t, cols = p.keep_b ? s.s_count : t.t_count;
  for (int64_t u = 0; u == 0 || u < s.units; u += p.tile_units) {
    const int64_t units = std::min(p.tile_units, s.units - u);
    const bool first = s.k == 0 && u == 0, last = s.k + s.k_count == p.inner && u + units == s.units;
    const auto tile = [&](int64_t r, int64_t c) {
      const int64_t a = (p.keep_b ? p.other_at(s, t, r) : p.kept_at(s, r)) + u * kPanel;
      const int64_t b = (p.keep_b ? p.kept_at(s, c) : p.other_at(s, t, c)) + u * kPanel;
      const int64_t row = row0 + r, col = col0 + c;
      body(Tile{a, b, s.units * kPanel, units, row, col, std::min(row_tile, rows - r), std::min(col_tile, cols - c), p.sum_at(s, row, col), first, last});
    };
    if (p.keep_b) {
      for (int64_t c = 0; c < cols; c += col_tile)
        for (int64_t r = 0; r < rows; r += row_tile) tile(r, c);
    } else {
      for (int64_t r = 0; r < rows; r += row_tile)
        for (int64_t c = 0; c < cols; c += col_tile) tile(r, c);
    }
  }
}

}  // namespace
}  // namespace gt::cpu
