// Rows of numbers in steps of sixteen lanes, with a tail, for kernels that are templates over the element type.
// Like vec.h: all inline, so that no symbol leaves the file (see isa.h).
#pragma once
#include "core/tensor.h"
#include "cpu/vec.h"

namespace gt::cpu {

// body(c, n) for c in [0, C) in steps of 16; n = 16, or what is left at the end.
template <class Body>
GT_INLINE void lanes(int64_t C, const Body& body) {
  int64_t c = 0;
  for (; c + kLanes <= C; c += kLanes) body(c, int64_t(kLanes));
  if (c < C) body(c, C & (kLanes - 1));  // C - c, in a form that shows the compiler that it is below 16
}

// The first n <= 16 elements as float32; lanes past n read as `fill`.
template <class T>
GT_INLINE f32x16 get(const T* p, int64_t n, float fill = 0) { return n == kLanes ? load16(p) : load_part(p, n, fill); }
template <class T>
GT_INLINE void put(T* p, f32x16 v, int64_t n) {
  if (n == kLanes) store16(p, v);
  else store_part(p, v, n);
}

// sum[c] += partial[b, c] over the blocks in order, in float32, rounded once; the rows of `partial` are `stride` apart.
template <class T>
GT_INLINE void add_blocks(T* sum, const float* partial, int64_t blocks, int64_t stride, int64_t C) {
  lanes(C, [&](int64_t c, int64_t n) {
    f32x16 v = get(sum + c, n);
    for (int64_t b = 0; b < blocks; b++) v += get(partial + b * stride + c, n);
    put(sum + c, v, n);
  });
}

// The largest element of a row and the lowest index that holds it. NaN is passed over; a row without numbers gives {-inf, 0}.
struct Peak {
  float value;
  int32_t index;
};
template <class T>
GT_INLINE Peak peak(const T* row, int64_t V) {
  f32x16 best = splat(-__builtin_inff());
  i32x16 index{}, here{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  lanes(V, [&](int64_t v, int64_t n) {
    const f32x16 x = get(row + v, n, -__builtin_inff());
    const i32x16 larger = less(best, x);
    best = select(larger, x, best);
    index = (here & larger) | (index & ~larger);
    here += kLanes;
  });
  Peak p{best[0], index[0]};
  for (int i = 1; i < kLanes; i++)
    if (best[i] > p.value || (best[i] == p.value && index[i] < p.index)) p = {best[i], index[i]};
  return p;
}

// Calls body with a null pointer of the C++ type that `t` stands for (float32 or bfloat16).
template <class Body>
GT_INLINE void with_type(DType t, const Body& body) {
  if (t == DType::f32) body((float*)nullptr);
  else body((bf16*)nullptr);
}

}  // namespace gt::cpu
