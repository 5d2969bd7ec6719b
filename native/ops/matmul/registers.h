// The tile of the families that accumulate in vector registers: kRows x (16 kColPanels) results, one broadcast unit of the left
// factor times vectors of the right one per step. `Math` says what a unit is and how a vector of products is added.
#pragma once
#include "ops/matmul/blocked.h"

namespace gt::cpu {
namespace {

// One register of the instruction set. (GCC would keep the 64-byte vectors of vec.h in memory where they do not fit one.)
#if defined(__AVX512F__)
constexpr int kWidth = 16;
#elif defined(__AVX2__)
constexpr int kWidth = 8;
#else
constexpr int kWidth = 4;
#endif
typedef float Register __attribute__((vector_size(kWidth * 4)));
constexpr int kPerPanel = kPanel / kWidth;

template <class Math>
struct RegisterKernel {
  static constexpr Family kFamily{.row_panels = 1, .col_panels = Math::kColPanels, .per_unit = Math::Unit::kPerUnit, .unit_step = 1, .tile_inner = 1024};
  struct State {};

  static void pack_rows(uint32_t* to, const Factor& f, int64_t row, int64_t rows, int64_t k, int64_t inner, int64_t units) {
    pack_across<typename Math::Unit>(to, f, row, rows, k, inner, units);
  }
  static void pack_cols(uint32_t* to, const Factor& f, int64_t row, int64_t rows, int64_t k, int64_t inner, int64_t units) {
    pack_across<typename Math::Unit>(to, f, row, rows, k, inner, units);
  }

  template <int R, int C, class Sink>
  GT_INLINE void rows(const Panels& p, int64_t row, int64_t panel, const Sink& sink) {
    const float *const a = reinterpret_cast<const float*>(p.a) + row, *const b = reinterpret_cast<const float*>(p.b) + panel * p.stride;
    Register sum[R][C * kPerPanel] = {};
    for (int r = 0; r < R; r++) sink.prefetch(row + r);
    for (int64_t u = 0; u < p.units; u++) {
      Register right[C * kPerPanel];
#pragma GCC unroll 16
      for (int c = 0; c < C * kPerPanel; c++) __builtin_memcpy(&right[c], b + c / kPerPanel * p.stride + u * kPanel + c % kPerPanel * kWidth, sizeof(Register));
#pragma GCC unroll 16
      for (int r = 0; r < R; r++) {
        const Register left = a[u * kPanel + r] - Register{};  // a broadcast: x - 0 is x, whatever the bits (x + 0 is not)
#pragma GCC unroll 16
        for (int c = 0; c < C * kPerPanel; c++) sum[r][c] = Math::multiply_add(left, right[c], sum[r][c]);
      }
    }
    for (int r = 0; r < R; r++) {
      float whole[C * kPanel];
      for (int c = 0; c < C * kPerPanel; c++) __builtin_memcpy(whole + c * kWidth, &sum[r][c], sizeof(Register));
      if constexpr (kPerPanel > 1) asm volatile("" ::"r"(whole) : "memory");  // or GCC keeps some of the sums in memory all along
      for (int c = 0; c < C; c++) sink.put(row + r, panel + c, load16(whole + c * kPanel));
    }
  }

  template <int C, class Sink>
  static void all_rows(const Panels& p, int64_t panel, const Sink& sink) {
    int64_t r = 0;
    for (; r + Math::kRows <= sink.rows; r += Math::kRows) rows<Math::kRows, C>(p, r, panel, sink);
    if constexpr (Math::kRows > 4)
      for (; r + 4 <= sink.rows; r += 4) rows<4, C>(p, r, panel, sink);
    for (; r < sink.rows; r++) rows<1, C>(p, r, panel, sink);
  }

  template <class Sink>
  static void tile(const Panels& p, const Sink& sink) {
    const int64_t panels = (sink.cols + kPanel - 1) / kPanel;
    if (panels == Math::kColPanels) return all_rows<Math::kColPanels>(p, 0, sink);
    for (int64_t c = 0; c < panels; c++) all_rows<1>(p, c, sink);
  }
};

}  // namespace
}  // namespace gt::cpu
