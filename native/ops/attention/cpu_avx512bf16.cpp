// CPU backend of attention for bfloat16 tensors on AVX512-BF16: vdpbf16ps adds two exact products per float32 lane and step. Weights of the
// softmax and their gradients are rounded to bfloat16 on their way into a product, as on GPUs; sums and the softmax stay float32.
#include <immintrin.h>

#include "ops/attention/tasks.h"

namespace gt::cpu {
namespace {

// Two rows of sixteen bfloat16 as sixteen pairs, `low` in the lower halves.
GT_INLINE u32x16 pair(u16x16 low, u16x16 high) { return __builtin_convertvector(low, u32x16) | __builtin_convertvector(high, u32x16) << 16; }
GT_INLINE u16x16 load_bits(const bf16* p, int64_t n) {
  u16x16 v{};
  if (n == kLanes) __builtin_memcpy(&v, p, 32);
  else __builtin_memcpy(&v, p, size_t(n) * 2);
  return v;
}
GT_INLINE u16x16 round_bits(f32x16 x) {
  const __m256bh rounded = _mm512_cvtneps_pbh((__m512)x);
  u16x16 bits;
  __builtin_memcpy(&bits, &rounded, 32);
  return bits;
}

struct Pairs {
  static constexpr int64_t kPerUnit = 2;
  GT_INLINE Register multiply_add(Register a, Register b, Register sum) { return (Register)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b); }

  // to [D / 2, kOwned] = rows [first, first + count) transposed, padded with zeros to a multiple of 16 columns
  static void load_transposed(float* to, const Rows<bf16>& rows, int64_t first, int64_t count) {
    for (int64_t c = 0; c < round_up(count); c++)
      for (int64_t u = 0; 2 * u < rows.D; u++) {
        float* unit = to + u * kOwned + c;
        __builtin_memset(unit, 0, 4);
        if (c < count) __builtin_memcpy(unit, rows[first + c] + 2 * u, 4);
      }
  }

  // block.rows [round_up(count), D / 2] and block.pairs [pairs of rows, round_up(D)], padded with zeros
  template <bool kProducts, bool kSums>
  static void load(const Streamed& block, const Rows<bf16>& rows, int64_t first, int64_t count) {
    const int64_t D = rows.D, stride = attention_row_stride(D);
    if (kProducts)
      for (int64_t r = 0; r < round_up(count); r++) {
        if (r < count) __builtin_memcpy(block.rows + r * block.stride, rows[first + r], size_t(D) * 2);
        else __builtin_memset(block.rows + r * block.stride, 0, size_t(D) * 2);
      }
    if (kSums)
      for (int64_t r = 0; r < count; r += 2) {
        const bf16 *low = rows[first + r], *high = r + 1 < count ? rows[first + r + 1] : nullptr;
        float* to = block.pairs + r / 2 * stride;
        lanes(D, [&](int64_t d, int64_t n) { store16(to + d, (f32x16)pair(load_bits(low + d, n), high ? load_bits(high + d, n) : u16x16{})); });
      }
  }

  // In place: row r / 2 of pairs is written when rows r and r + 1 have been read. An odd last row gets a partner of zeros.
  static void pack_weights(float* scores, int64_t n, int64_t lane, int64_t lanes) {
    for (int64_t r = 0; r < n; r += 2)
      for (int64_t c = lane; c < lane + lanes; c += kLanes) {
        const f32x16 low = load16(scores + r * kOwned + c), high = r + 1 < n ? load16(scores + (r + 1) * kOwned + c) : f32x16{};
        store16(scores + r / 2 * kOwned + c, (f32x16)pair(round_bits(low), round_bits(high)));
      }
  }
};

}  // namespace

extern const Attention attention_avx512bf16;
const Attention attention_avx512bf16 = kBackend<Pairs, bf16>;

}  // namespace gt::cpu
