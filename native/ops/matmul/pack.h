// Packing: copies rows of a factor into panels, the order in which the kernels read them.
//
// A panel holds 16 rows. Along the inner dimension it is cut into units of 4 bytes: one float32, or a pair of bfloat16 (k, k + 1).
//   across: panel[unit][row]                 a vector holds one unit of 16 rows
//   along:  panel[block][row][16 units]      a vector holds 16 units of one row (the left factor of AMX tiles)
// Behind the end of the inner dimension a panel is zero. Behind the last row it repeats that row: results nobody reads.
#pragma once
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "cpu/vec.h"
#include "ops/matmul/plan.h"

namespace gt::cpu {
namespace {

typedef uint32_t u32x4 __attribute__((vector_size(16)));
typedef uint16_t u16x32 __attribute__((vector_size(64)));

// What a unit holds, and how to read it from a factor of type T.
struct Float32 {
  using T = float;
  static constexpr int64_t kPerUnit = 1;
  GT_INLINE u32x4 load4(const T* p) { u32x4 v; __builtin_memcpy(&v, p, 16); return v; }
  GT_INLINE void across32(uint32_t* first, uint32_t* second, const T* p, int64_t) { store16((float*)first, load16(p)), store16((float*)second, load16(p + 16)); }
};
// bfloat16 factors for kernels that multiply in float32: products of two bfloat16 are exact there.
struct Widened {
  using T = bf16;
  static constexpr int64_t kPerUnit = 1;
  GT_INLINE u32x4 load4(const T* p) { return u32x4{uint32_t(p[0].bits) << 16, uint32_t(p[1].bits) << 16, uint32_t(p[2].bits) << 16, uint32_t(p[3].bits) << 16}; }
  GT_INLINE void across32(uint32_t* first, uint32_t* second, const T* p, int64_t) { store16((float*)first, load16(p)), store16((float*)second, load16(p + 16)); }
};
struct Pairs {
  using T = bf16;
  static constexpr int64_t kPerUnit = 2;
  GT_INLINE u32x4 load4(const T* p) { u32x4 v; __builtin_memcpy(&v, p, 16); return v; }
  GT_INLINE void across32(uint32_t* first, uint32_t* second, const T* p, int64_t inner_stride) {
    u16x32 even, odd;
    __builtin_memcpy(&even, p, 64);
    __builtin_memcpy(&odd, p + inner_stride, 64);
    const u16x32 low = __builtin_shuffle(even, odd, u16x32{0, 32, 1, 33, 2, 34, 3, 35, 4, 36, 5, 37, 6, 38, 7, 39, 8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47});
    const u16x32 high = __builtin_shuffle(even, odd, u16x32{16, 48, 17, 49, 18, 50, 19, 51, 20, 52, 21, 53, 22, 54, 23, 55, 24, 56, 25, 57, 26, 58, 27, 59, 28, 60, 29, 61, 30, 62, 31, 63});
    __builtin_memcpy(first, &low, 64);
    __builtin_memcpy(second, &high, 64);
  }
};

// One unit near an edge.
template <class Unit>
GT_INLINE uint32_t unit_at(const typename Unit::T* row, int64_t k, int64_t inner, int64_t inner_stride) {
  uint32_t low = 0, high = 0;
  if constexpr (Unit::kPerUnit == 2) {
    low = row[k * inner_stride].bits;
    if (k + 1 < inner) high = row[(k + 1) * inner_stride].bits;
    return low | high << 16;
  } else {
    float v = gt::load(row + k * inner_stride);
    __builtin_memcpy(&low, &v, 4);
    return low;
  }
}

// to[u * 16 + r] = unit u of row[r], 16 rows of 4 units from element k on.
template <class Unit>
GT_INLINE void transpose4(uint32_t* to, const typename Unit::T* const row[kPanel], int64_t k) {
#if defined(__AVX512F__)
  // Lane l of v[r] holds row 4 l + r: what remains is a 4 x 4 transposition within lanes.
  u32x16 v[4];
  for (int r = 0; r < 4; r++) {
    __m512i lanes = _mm512_castsi128_si512((__m128i)Unit::load4(row[r] + k));
    lanes = _mm512_inserti32x4(lanes, (__m128i)Unit::load4(row[r + 4] + k), 1);
    lanes = _mm512_inserti32x4(lanes, (__m128i)Unit::load4(row[r + 8] + k), 2);
    v[r] = (u32x16)_mm512_inserti32x4(lanes, (__m128i)Unit::load4(row[r + 12] + k), 3);
  }
  constexpr u32x16 low32 = {0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29}, high32 = low32 + 2;
  constexpr u32x16 low64 = {0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29}, high64 = low64 + 2;
  const u32x16 a = __builtin_shuffle(v[0], v[1], low32), b = __builtin_shuffle(v[2], v[3], low32);
  const u32x16 c = __builtin_shuffle(v[0], v[1], high32), d = __builtin_shuffle(v[2], v[3], high32);
  const u32x16 out[4] = {__builtin_shuffle(a, b, low64), __builtin_shuffle(a, b, high64), __builtin_shuffle(c, d, low64), __builtin_shuffle(c, d, high64)};
  for (int u = 0; u < 4; u++) __builtin_memcpy(to + u * kPanel, out + u, 64);
#else
  for (int r = 0; r < kPanel; r += 4) {
    const u32x4 r0 = Unit::load4(row[r] + k), r1 = Unit::load4(row[r + 1] + k), r2 = Unit::load4(row[r + 2] + k), r3 = Unit::load4(row[r + 3] + k);
    const u32x4 a = __builtin_shuffle(r0, r1, u32x4{0, 4, 1, 5}), b = __builtin_shuffle(r2, r3, u32x4{0, 4, 1, 5});
    const u32x4 c = __builtin_shuffle(r0, r1, u32x4{2, 6, 3, 7}), d = __builtin_shuffle(r2, r3, u32x4{2, 6, 3, 7});
    const u32x4 out[4] = {__builtin_shuffle(a, b, u32x4{0, 1, 4, 5}), __builtin_shuffle(a, b, u32x4{2, 3, 6, 7}),
                          __builtin_shuffle(c, d, u32x4{0, 1, 4, 5}), __builtin_shuffle(c, d, u32x4{2, 3, 6, 7})};
    for (int u = 0; u < 4; u++) __builtin_memcpy(to + u * kPanel + r, out + u, 16);
  }
#endif
}

// Up to two panels, across: rows [first_row, first_row + rows), rows <= 32, elements [first_k, first_k + inner), to panels of `units`.
template <class Unit>
void pack_across(uint32_t* to, const Factor& f, int64_t first_row, int64_t rows, int64_t first_k, int64_t inner, int64_t units) {
  constexpr int64_t per = Unit::kPerUnit;
  using T = typename Unit::T;
  const T* from = static_cast<const T*>(f.data) + first_row * f.row_stride + first_k * f.inner_stride;
  int64_t done = 0;  // units
  if (f.inner_stride != 1 && rows == 2 * kPanel) {
    // Both panels at once: a cache line of bfloat16 feeds both.
    for (; done < inner / per; done++) {
      const T* p = from + done * per * f.inner_stride;
      for (int64_t i = 0; i < per; i++) __builtin_prefetch(p + (16 + i) * f.inner_stride, 0, 2);
      Unit::across32(to + done * kPanel, to + (units + done) * kPanel, p, f.inner_stride);
    }
  }
  for (int64_t first = 0; first < rows; first += kPanel) {
    uint32_t* panel = to + first * units;
    int64_t u = done;
    const T* row[kPanel];
    for (int64_t r = 0; r < kPanel; r++) row[r] = from + std::min(first + r, rows - 1) * f.row_stride;
    if (f.inner_stride == 1)
      for (; u + 16 <= inner / per; u += 16) {
        for (int64_t r = 0; r < kPanel; r++) __builtin_prefetch(row[r] + u * per + kPanel * f.row_stride, 0, 2);  // the next panel, to L2
        for (int64_t i = 0; i < 16; i += 4) transpose4<Unit>(panel + (u + i) * kPanel, row, (u + i) * per);
      }
    for (; u * per < inner; u++)
      for (int64_t r = 0; r < kPanel; r++) panel[u * kPanel + r] = unit_at<Unit>(row[r], u * per, inner, f.inner_stride);
    if (u < units) __builtin_memset(panel + u * kPanel, 0, size_t(units - u) * 64);
  }
}

// The same, along; units is a multiple of 16.
template <class Unit>
void pack_along(uint32_t* to, const Factor& f, int64_t first_row, int64_t rows, int64_t first_k, int64_t inner, int64_t units) {
  constexpr int64_t per = Unit::kPerUnit;
  using T = typename Unit::T;
  if (f.inner_stride == 1) {
    const T* from = static_cast<const T*>(f.data) + first_row * f.row_stride + first_k;
    for (int64_t r = 0; r < up(rows, kPanel); r++) {
      const T* row = from + std::min(r, rows - 1) * f.row_stride;
      uint32_t* at = to + r / kPanel * kPanel * units + r % kPanel * 16;
      for (int64_t u = 0; u < units; u += 16) {
        const int64_t bytes = std::min<int64_t>(64, (inner - u * per) * int64_t(sizeof(T)));
        if (bytes == 64) __builtin_memcpy(at + u * kPanel, row + u * per, 64);
        else __builtin_memset(at + u * kPanel, 0, 64), __builtin_memcpy(at + u * kPanel, row + u * per, size_t(std::max<int64_t>(0, bytes)));
      }
    }
    return;
  }
  // Sixteen units across, then transposed as if they were a factor of 16 rows.
  uint32_t across[2 * kPanel * 16];
  for (int64_t u = 0; u < units; u += 16) {
    pack_across<Unit>(across, f, first_row, rows, first_k + u * per, std::max<int64_t>(0, std::min(16 * per, inner - u * per)), 16);
    for (int64_t first = 0; first < rows; first += kPanel) {
      const float* row[kPanel];
      for (int64_t r = 0; r < kPanel; r++) row[r] = reinterpret_cast<const float*>(across) + first * 16 + r * kPanel;
      for (int64_t r = 0; r < kPanel; r += 4) transpose4<Float32>(to + first * units + u * kPanel + r * 16, row, r);
    }
  }
}

}  // namespace
}  // namespace gt::cpu
