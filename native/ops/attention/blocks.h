// What one task does: a block of query rows forward or backward, a block of keys backward. Like tiles.h part of the backends' files, and like it for
// any Math.
//
// A task owns a block of query rows (or keys); these lie transposed, one per lane, while blocks of keys (or query rows) stream
// past. So maxima, sums and masks are lane by lane, and the only two products are those of tiles.h. The query heads that share a
// kv head are rows of one block: each key is loaded once for all of them.
#pragma once
#include <cfloat>
#include <cmath>

#include "ops/attention/tiles.h"

namespace gt::cpu {
namespace {

GT_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
GT_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
GT_INLINE i32x16 load_int(const int32_t* p) {
  i32x16 v;
  __builtin_memcpy(&v, p, 64);
  return v;
}

// The rows of one sequence and kv head: the query heads that share it on one side, its keys and values on the other.
template <class T>
struct GroupRows {
  Rows<T> q, out, dout, dq;
  Rows<float> lse, delta;
  Rows<T> k, v, dk, dv;
};

// Which keys the query rows [first, first + count) see: from[r] <= key <= to[r]. Row r is at position offset + r / group.
// The lanes that pad the block see none.
struct Visible {
  int64_t offset, group, window, first, count;
  int32_t from[kOwned], to[kOwned];
  Visible(int64_t offset, int64_t group, int64_t window, int64_t first, int64_t count) : offset(offset), group(group), window(window), first(first), count(count) {
    for (int64_t r = 0; r < kOwned; r++) {
      from[r] = r < count ? int32_t(first_key(r)) : 0;
      to[r] = r < count ? int32_t(position(r)) : -1;
    }
  }
  int64_t position(int64_t r) const { return offset + (first + r) / group; }
  int64_t first_key(int64_t r) const { return window ? larger(0, position(r) - window + 1) : 0; }
  int64_t end_key() const { return position(count - 1) + 1; }
  i32x16 sees(int32_t key, int64_t c) const { return (load_int(from + c) <= key) & (load_int(to + c) >= key); }

  // The lanes, in steps of 16, outside of which no row sees any of the keys [key, end).
  int64_t first_lane(int64_t key) const { return round_down(larger(0, (key - offset) * group - first)); }
  int64_t end_lane(int64_t end) const {
    const int64_t rows = window ? larger(0, smaller(count, (end - 1 + window - offset) * group - first)) : count;
    return round_up(rows);
  }

  // body(key, n, first lane, lanes) for the keys in order. Steps end at multiples of kStreamed, whatever the rows: then a
  // row's sums are cut at the same keys in every block, and in decode.
  template <class Body>
  void for_keys(const Body& body) const {
    for (int64_t key = first_key(0), end = end_key(), next; key < end; key = next) {
      next = smaller(end, (key / kStreamed + 1) * kStreamed);
      const int64_t lane = first_lane(key);
      body(key, next - key, lane, end_lane(next) - lane);
    }
  }
};

// Online softmax (Milakov & Gimelshein 2018) of scores [n, lanes] in place: exp(score - peak), with peak, total and the factor
// `keep` by which earlier sums shrink. A score that is not finite makes the row's total NaN, which exp16 alone would hide.
void softmax_step(float* scores, int64_t n, int64_t key, const Visible& visible, int64_t lane, int64_t lanes, float scale, float* peak, float* total, float* keep) {
  for (int64_t c = lane; c < lane + lanes; c += kLanes) {
    const f32x16 before = load16(peak + c);
    f32x16 top = before, poison{};
    for (int64_t u = 0; u < n; u++) {
      const i32x16 sees = visible.sees(int32_t(key + u), c);
      f32x16 s = load16(scores + u * kOwned + c) * scale;
      poison += select(sees, s * 0.f, f32x16{});
      s = select(sees, s, splat(-INFINITY));
      top = max16(top, s);
      store16(scores + u * kOwned + c, s);
    }
    const f32x16 shrink = exp16(before - top);
    f32x16 sum = load16(total + c) * shrink + poison;
    for (int64_t u = 0; u < n; u++) {
      const f32x16 p = exp16(load16(scores + u * kOwned + c) - top);
      sum += p;
      store16(scores + u * kOwned + c, p);
    }
    store16(peak + c, top), store16(total + c, sum), store16(keep + c, shrink);
  }
}

template <class Math, class T>
void forward_block(const GroupRows<T>& x, const Visible& visible, float scale, const Scratch<Math>& s) {
  const int64_t D = x.q.D, stride = attention_row_stride(D), first = visible.first, count = visible.count;
  float peak[kOwned], total[kOwned], keep[kOwned];
  for (int64_t r = 0; r < kOwned; r++) peak[r] = -FLT_MAX, total[r] = 0;
  __builtin_memset(s.sums, 0, size_t(round_up(count) * stride) * 4);
  Math::load_transposed(s.owned, x.q, first, count);
  visible.for_keys([&](int64_t key, int64_t n, int64_t lane, int64_t lanes) {
    Math::template load<true, false>(s.streamed, x.k, key, n);
    Math::template load<false, true>(s.streamed2, x.v, key, n);
    products<Math>(s.scores + lane, s.streamed, s.owned + lane, round_up(n), lanes, D);
    softmax_step(s.scores, n, key, visible, lane, lanes, scale, peak, total, keep);
    Math::pack_weights(s.scores, n, lane, lanes);
    accumulate<Math>(s.sums + lane * stride, keep + lane, s.scores + lane, s.streamed2, n, lanes, D);
  });
  store_rows(x.out, first, count, s.sums, stride, [&](int64_t r) { return 1.f / total[r]; });
  if (x.lse.data)
    for (int64_t r = 0; r < count; r++) *x.lse[first + r] = peak[r] + std::log(total[r]);
}

// scores and dscores [n, lanes], which hold q·k and dout·v, become p and p · (dp - delta). `sees`, `lse` and `delta` give their
// sixteen values for streamed row i and lanes c..c+15.
template <class Sees, class Lse, class Delta>
GT_INLINE void backward_step(float* scores, float* dscores, int64_t n, int64_t lane, int64_t lanes, float scale, const Sees& sees, const Lse& lse, const Delta& delta) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t c = lane; c < lane + lanes; c += kLanes) {
      const f32x16 p = select(sees(i, c), exp16(load16(scores + i * kOwned + c) * scale - lse(i, c)), f32x16{});
      store16(scores + i * kOwned + c, p);
      store16(dscores + i * kOwned + c, p * (load16(dscores + i * kOwned + c) - delta(i, c)));
    }
}

struct Ones {
  float values[kOwned];
  Ones() { for (float& v : values) v = 1; }
};

template <class Math, class T>
void backward_query_block(const GroupRows<T>& x, const Visible& visible, float scale, const Scratch<Math>& s) {
  const int64_t D = x.q.D, stride = attention_row_stride(D), first = visible.first, count = visible.count;
  const Ones ones;
  float row_lse[kOwned] = {}, row_delta[kOwned] = {};
  for (int64_t r = 0; r < count; r++) row_lse[r] = *x.lse[first + r], row_delta[r] = *x.delta[first + r];
  __builtin_memset(s.sums, 0, size_t(round_up(count) * stride) * 4);
  Math::load_transposed(s.owned, x.q, first, count);
  Math::load_transposed(s.owned2, x.dout, first, count);
  visible.for_keys([&](int64_t key, int64_t n, int64_t lane, int64_t lanes) {
    Math::template load<true, true>(s.streamed, x.k, key, n);
    Math::template load<true, false>(s.streamed2, x.v, key, n);
    products<Math>(s.scores + lane, s.streamed, s.owned + lane, round_up(n), lanes, D);
    products<Math>(s.scores2 + lane, s.streamed2, s.owned2 + lane, round_up(n), lanes, D);
    backward_step(s.scores, s.scores2, n, lane, lanes, scale,
      [&](int64_t i, int64_t c) { return visible.sees(int32_t(key + i), c); },
      [&](int64_t, int64_t c) { return load16(row_lse + c); },
      [&](int64_t, int64_t c) { return load16(row_delta + c); });
    Math::pack_weights(s.scores2, n, lane, lanes);
    accumulate<Math>(s.sums + lane * stride, ones.values, s.scores2 + lane, s.streamed, n, lanes, D);
  });
  store_rows(x.dq, first, count, s.sums, stride, [&](int64_t) { return scale; });
}

// Keys [first, first + count) of a sequence of `length` tokens, against every query row that sees one of them.
template <class Math, class T>
void backward_key_block(const GroupRows<T>& x, int64_t length, int64_t first, int64_t count, int64_t window, float scale, const Scratch<Math>& s) {
  const int64_t D = x.q.D, stride = attention_row_stride(D), group = x.q.group;
  const Ones ones;
  int32_t keys[kOwned];
  for (int64_t c = 0; c < kOwned; c++) keys[c] = int32_t(first + c);
  __builtin_memset(s.sums, 0, size_t(round_up(count) * stride) * 4);
  __builtin_memset(s.sums2, 0, size_t(round_up(count) * stride) * 4);
  Math::load_transposed(s.owned, x.k, first, count);
  Math::load_transposed(s.owned2, x.v, first, count);
  const int64_t end = group * (window ? smaller(length, first + count - 1 + window) : length);
  for (int64_t row = first * group; row < end; row += kStreamed) {
    const int64_t n = smaller(kStreamed, end - row);
    const int64_t position = row / group, last_position = (row + n - 1) / group;
    const int64_t lane = window ? round_down(larger(0, position - window + 1 - first)) : 0;
    const int64_t lanes = round_up(smaller(count, last_position + 1 - first)) - lane;
    Math::template load<true, true>(s.streamed, x.q, row, n);
    Math::template load<true, true>(s.streamed2, x.dout, row, n);
    products<Math>(s.scores + lane, s.streamed, s.owned + lane, round_up(n), lanes, D);
    products<Math>(s.scores2 + lane, s.streamed2, s.owned2 + lane, round_up(n), lanes, D);
    backward_step(s.scores, s.scores2, n, lane, lanes, scale,
      [&](int64_t i, int64_t c) {
        const int32_t t = int32_t((row + i) / group), from = int32_t(window ? larger(0, t - window + 1) : 0);
        return (load_int(keys + c) <= t) & (load_int(keys + c) >= from);
      },
      [&](int64_t i, int64_t) { return splat(*x.lse[row + i]); },
      [&](int64_t i, int64_t) { return splat(*x.delta[row + i]); });
    Math::pack_weights(s.scores, n, lane, lanes);
    Math::pack_weights(s.scores2, n, lane, lanes);
    accumulate<Math>(s.sums + lane * stride, ones.values, s.scores2 + lane, s.streamed, n, lanes, D);
    accumulate<Math>(s.sums2 + lane * stride, ones.values, s.scores + lane, s.streamed2, n, lanes, D);
  }
  store_rows(x.dk, first, count, s.sums, stride, [&](int64_t) { return scale; });
  store_rows(x.dv, first, count, s.sums2, stride, [&](int64_t) { return 1.f; });
}

}  // namespace
}  // namespace gt::cpu
