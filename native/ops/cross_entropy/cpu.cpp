// CPU backend of cross_entropy: a row is a task and is read twice (peak, sums), a third time for its gradient.
#include "ops/cross_entropy/cpu.h"

#include <cmath>

#include "cpu/rows.h"

namespace gt::cpu {
namespace {

// Lane sums are float32 within a block and double across blocks: 64 terms a lane lose less than the exponential does.
constexpr int64_t kBlock = 1024;

// With d[v] = z[v] - peak <= 0:  mass = sum_v e^d,  moment = sum_v d e^d.
struct Sums {
  double mass = 0, moment = 0;
};

template <class E>
GT_INLINE Sums sums_of(const E* z, int64_t V, float peak) {
  Sums total;
  // For lanes past the end: e^-200 is 0 here. Of a huge peak 200 is less than the last digit.
  const float past_end = peak - 200.f - std::fabs(peak) * 0x1p-20f;
  for (int64_t begin = 0; begin < V; begin += kBlock) {
    f32x16 mass{}, moment{};
    const int64_t count = V - begin < kBlock ? V - begin : kBlock;
    lanes(count, [&](int64_t v, int64_t n) {
      const f32x16 d = get(z + begin + v, n, past_end) - peak;
      const f32x16 e = exp16(d);
      mass += e;
      moment += d * e;
    });
    total.mass += double(sum(mass));
    total.moment += double(sum(moment));
  }
  return total;
}

template <class E>
__attribute__((flatten)) void one_row(float* loss, float* entropy, int32_t* correct, E* z, int32_t target, int64_t V, bool backward) {
  const Peak top = peak(z, V);
  const Sums s = sums_of(z, V, top.value);
  // exp16 hides NaN, the moment does not: it is finite exactly when all logits are.
  const double mass = std::isfinite(s.moment) ? s.mass : double(NAN);
  const double log_mass = std::log(mass);
  *loss = float(log_mass - (double(load(z + target)) - double(top.value)));
  *entropy = float(log_mass - s.moment / mass);
  *correct = top.index == target && !std::isnan(mass);
  if (!backward) return;

  const float scale = float(1 / mass);
  lanes(V, [&](int64_t v, int64_t n) { put(z + v, exp16(get(z + v, n) - top.value) * scale, n); });
  store(z + target, std::expm1(-*loss));  // p - 1, without cancellation where p is near 1
}

template <class E>
__attribute__((flatten)) void statistics_of_row(float* out, const E* z, int64_t target, int64_t first, int64_t V) {
  const Peak top = peak(z, V);
  const Sums s = sums_of(z, V, top.value);
  const bool here = target >= first && target < first + V;
  const int32_t id = int32_t(first) + top.index;
  out[0] = top.value;
  out[1] = std::isfinite(s.moment) ? float(s.mass) : NAN;
  out[2] = float(s.moment);
  out[3] = here ? float(load(z + target - first)) : 0.f;
  __builtin_memcpy(out + 4, &id, 4);
}

void slice_statistics(Threads& threads, float* statistics, const void* logits, DType type, const int32_t* targets, int64_t first, int64_t R, int64_t V) {
  with_type(type, [&](auto* e) {
    threads.run(R, [&](int64_t r) { statistics_of_row(statistics + 5 * r, (decltype(e))logits + r * V, targets[r], first, V); });
  });
}

void merge(Threads& threads, float* loss, float* entropy, int32_t* correct, float* merged, const float* statistics, const int32_t* targets, int64_t slices, int64_t R) {
  threads.ranges(R, 256, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      const auto of = [&](int64_t slice) { return statistics + 5 * (slice * R + r); };
      int64_t top = 0;
      for (int64_t s = 1; s < slices; s++)
        if (of(s)[0] > of(top)[0]) top = s;
      const float peak = of(top)[0];
      double mass = 0, moment = 0;
      float target = 0;
      for (int64_t s = 0; s < slices; s++) {
        if (of(s)[1] == 0) continue;  // no ids, no peak
        const double d = double(of(s)[0]) - double(peak), e = std::exp(d);
        mass += e * double(of(s)[1]);
        moment += e * (double(of(s)[2]) + d * double(of(s)[1]));
        target += of(s)[3];
      }
      if (!std::isfinite(moment)) mass = double(NAN);
      int32_t first;
      __builtin_memcpy(&first, of(top) + 4, 4);
      const double log_mass = std::log(mass);
      loss[r] = float(log_mass - (double(target) - double(peak)));
      entropy[r] = float(log_mass - moment / mass);
      correct[r] = first == targets[r] && !std::isnan(mass);
      merged[4 * r] = peak, merged[4 * r + 1] = float(1 / mass), merged[4 * r + 2] = std::expm1(-loss[r]);
    }
  });
}

template <class E>
__attribute__((flatten)) void gradient_of_row(E* z, const float* merged, int64_t target, int64_t first, int64_t V) {
  const float peak = merged[0], scale = merged[1];
  lanes(V, [&](int64_t v, int64_t n) { put(z + v, exp16(get(z + v, n) - peak) * scale, n); });
  if (target >= first && target < first + V) store(z + target - first, merged[2]);
}

void slice_gradient(Threads& threads, void* logits, DType type, const float* merged, const int32_t* targets, int64_t first, int64_t R, int64_t V) {
  with_type(type, [&](auto* e) {
    threads.run(R, [&](int64_t r) { gradient_of_row((decltype(e))logits + r * V, merged + 4 * r, targets[r], first, V); });
  });
}

void rows(Threads& threads, float* loss, float* entropy, int32_t* correct, void* logits, DType type, const int32_t* targets, int64_t R, int64_t V, bool backward) {
  with_type(type, [&](auto* e) {
    threads.run(R, [&](int64_t r) { one_row(loss + r, entropy + r, correct + r, (decltype(e))logits + r * V, targets[r], V, backward); });
  });
}

}  // namespace

extern const CrossEntropy GT_TABLE(cross_entropy);
const CrossEntropy GT_TABLE(cross_entropy) = {rows, slice_statistics, merge, slice_gradient};

}  // namespace gt::cpu
