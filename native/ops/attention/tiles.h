// Blocks in scratch memory and the two products that attention is made of. Part of the backends' files: compiled once per instruction
// set, so everything is in an anonymous namespace.
//
// What a product multiplies is a unit of 4 bytes: one float32 (struct Floats, below), or a pair of bfloat16 that lie next to each other
// along the contraction, the first in the lower half (cpu_avx512bf16.cpp). A backend's Math says so:
//   kPerUnit                         elements in a unit
//   multiply_add(a, b, sum)          sum + a · b, unit by unit
//   load_transposed, load            rows of a tensor to blocks of units
//   pack_weights                     a block of float32 scores, to be the left side of `accumulate`
#pragma once
#include "cpu/rows.h"
#include "ops/attention/scratch.h"

namespace gt::cpu {
namespace {

// One machine register. A tile of kTileRows x 3 registers of sums, 3 of the right side and one broadcast fill the register file
// and keep both FMA units busy (at least 8 independent sums).
#if defined(__AVX512F__)
constexpr int kRegister = 16, kTileRows = 8;
#elif defined(__AVX2__)
constexpr int kRegister = 8, kTileRows = 4;
#elif defined(__aarch64__)
constexpr int kRegister = 4, kTileRows = 8;
#else
constexpr int kRegister = 4, kTileRows = 4;
#endif
typedef float Register __attribute__((vector_size(kRegister * 4)));

GT_INLINE int64_t round_up(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }
GT_INLINE int64_t round_down(int64_t n) { return n / kLanes * kLanes; }

// Rows of D numbers inside a tensor [tokens, heads, D]: row r is head r % group of token r / group, counted from `data`.
template <class T>
struct Rows {
  T* data;
  int64_t token_stride, group, D;
  T* operator[](int64_t r) const { return data + r / group * token_stride + r % group * D; }
};

struct Floats {
  static constexpr int64_t kPerUnit = 1;
  GT_INLINE Register multiply_add(Register a, Register b, Register sum) { return a * b + sum; }

  // to [D, kOwned] = rows [first, first + count) transposed, padded with zeros to a multiple of 16 columns
  template <class T>
  static void load_transposed(float* to, const Rows<T>& rows, int64_t first, int64_t count) {
    for (int64_t c = 0; c < count; c += kLanes) {
      const int64_t n = count - c < kLanes ? count - c : kLanes;
      const T* from[kLanes];
      for (int64_t i = 0; i < n; i++) from[i] = rows[first + c + i];
      for (int64_t d = 0; d < rows.D; d++) {
        float* column = to + d * kOwned + c;
        if (n < kLanes) store16(column, f32x16{});
        for (int64_t i = 0; i < n; i++) column[i] = gt::load(from[i] + d);
      }
    }
  }

  // to [round_up(count), stride] = the same rows, padded with zeros in both directions; one layout serves both products
  template <bool kProducts, bool kSums, class T>
  static void load(const Streamed& block, const Rows<T>& rows, int64_t first, int64_t count) {
    const int64_t D = rows.D;
    float* to = block.rows;
    for (int64_t r = 0; r < count; r++, to += block.stride) {
      const T* from = rows[first + r];
      lanes(D, [&](int64_t d, int64_t n) { store16(to + d, get(from + d, n)); });
    }
    for (int64_t r = count; r < round_up(count); r++, to += block.stride) __builtin_memset(to, 0, size_t(round_up(D)) * 4);
  }

  static void pack_weights(float*, int64_t, int64_t, int64_t) {}
};

// rows [first, first + count) = from [count, stride] · factor(row)
template <class T, class Factor>
void store_rows(const Rows<T>& rows, int64_t first, int64_t count, const float* from, int64_t stride, const Factor& factor) {
  for (int64_t r = 0; r < count; r++, from += stride) {
    T* to = rows[first + r];
    const float f = factor(r);
    lanes(rows.D, [&](int64_t d, int64_t n) { put(to + d, load16(from + d) * f, n); });
  }
}

GT_INLINE Register load_register(const float* p) {
  Register v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

// c [kTileRows, N registers] = keep[row] · c + a · b, where a(row, k) = a[row · row_step + k · k_step]; keep null starts from zero
template <class Math, int N>
GT_INLINE void tile(float* c, int64_t c_stride, const float* keep, const float* a, int64_t row_step, int64_t k_step, const float* b, int64_t b_stride, int64_t depth) {
  Register sums[kTileRows][N];
#pragma GCC unroll 8
  for (int i = 0; i < kTileRows; i++)
#pragma GCC unroll 3
    for (int j = 0; j < N; j++) sums[i][j] = keep ? load_register(c + i * c_stride + j * kRegister) * keep[i] : Register{};
  for (int64_t k = 0; k < depth; k++) {
    Register right[N];
#pragma GCC unroll 3
    for (int j = 0; j < N; j++) right[j] = load_register(b + k * b_stride + j * kRegister);
#pragma GCC unroll 8
    for (int i = 0; i < kTileRows; i++)
#pragma GCC unroll 3
      for (int j = 0; j < N; j++) sums[i][j] = Math::multiply_add(a[i * row_step + k * k_step] - Register{}, right[j], sums[i][j]);  // - 0: a broadcast, whatever the bits
  }
#pragma GCC unroll 8
  for (int i = 0; i < kTileRows; i++)
#pragma GCC unroll 3
    for (int j = 0; j < N; j++) __builtin_memcpy(c + i * c_stride + j * kRegister, &sums[i][j], sizeof(Register));
}

// rows: a multiple of kTileRows; columns: of kRegister; depth in units
template <class Math>
GT_INLINE void multiply(float* c, int64_t c_stride, const float* keep, const float* a, int64_t row_step, int64_t k_step, const float* b, int64_t b_stride, int64_t rows, int64_t columns, int64_t depth) {
  for (int64_t j = 0; j < columns; j += 3 * kRegister) {
    const int64_t left = (columns - j) / kRegister;
    for (int64_t i = 0; i < rows; i += kTileRows) {
      float* to = c + i * c_stride + j;
      const float *k = keep ? keep + i : nullptr, *left_side = a + i * row_step, *right_side = b + j;
      if (left >= 3) tile<Math, 3>(to, c_stride, k, left_side, row_step, k_step, right_side, b_stride, depth);
      else if (left == 2) tile<Math, 2>(to, c_stride, k, left_side, row_step, k_step, right_side, b_stride, depth);
      else tile<Math, 1>(to, c_stride, k, left_side, row_step, k_step, right_side, b_stride, depth);
    }
  }
}

// scores [streamed, owned] = rows [streamed, D] · transposed [D, owned]; streamed and owned are multiples of 16
template <class Math>
__attribute__((noinline)) void products(float* scores, const Streamed& block, const float* transposed, int64_t streamed, int64_t owned, int64_t D) {
  multiply<Math>(scores, kOwned, nullptr, block.rows, block.stride, 1, transposed, kOwned, streamed, owned, (D + Math::kPerUnit - 1) / Math::kPerUnit);
}

// sums [owned, D] = keep[owned] · sums + weightsᵀ · rows, with packed weights [streamed, owned] and rows [streamed, D]; owned is a multiple of 16
template <class Math>
__attribute__((noinline)) void accumulate(float* sums, const float* keep, const float* weights, const Streamed& block, int64_t streamed, int64_t owned, int64_t D) {
  const int64_t stride = attention_row_stride(D);
  multiply<Math>(sums, stride, keep, weights, 1, kOwned, block.pairs, stride, owned, round_up(D), (streamed + Math::kPerUnit - 1) / Math::kPerUnit);
}

}  // namespace
}  // namespace gt::cpu
