// CPU backend of sampling: a row is a task. Nothing is sorted and nothing is stored: both filters are a cut in the ascending order of
// the logits, found by a radix walk over their bits, and probabilities are recomputed in each pass.
#include "ops/sampling/cpu.h"

#include "cpu/rows.h"

namespace gt::cpu {
namespace {

bool has_nan(const float* z, int64_t V) {
  i32x16 bad{};  // negative where the magnitude's bits lie above infinity's
  lanes(V, [&](int64_t v, int64_t n) { bad |= 0x7f800000 - ((i32x16)get(z + v, n) & 0x7fffffff); });
  int32_t any = 0;
  for (int i = 0; i < kLanes; i++) any |= bad[i];
  return any < 0;
}

bool usable(const float* z, int64_t V, float largest) { return largest > -__builtin_inff() && largest < __builtin_inff() && !has_nan(z, V); }

void greedy(Threads& threads, int32_t* next, const float* logits, int64_t B, int64_t V) {
  threads.run(B, [=](int64_t b) {
    const float* z = logits + b * V;
    const Peak top = peak(z, V);
    next[b] = usable(z, V, top.value) ? top.index : -1;
  });
}

struct Row {
  const float* z;
  int64_t V;
  float largest, temperature;
};

// body(v, order, mass) for v = 0, 1, ..: `order` sorts as the logit does, mass = exp((z - largest) / temperature).
template <class Body>
GT_INLINE void each(const Row& row, const Body& body) {
  lanes(row.V, [&](int64_t v, int64_t n) {
    const f32x16 x = get(row.z + v, n) + 0.f;  // -0 becomes 0: they are equal
    const f32x16 mass = exp16((x - row.largest) / row.temperature);
    const u32x16 bits = (u32x16)x;
    const u32x16 order = bits ^ ((u32x16)((i32x16)bits >> 31) | 0x80000000u);
    uint32_t o[kLanes];
    float m[kLanes];
    __builtin_memcpy(o, &order, sizeof o);
    __builtin_memcpy(m, &mass, sizeof m);
    for (int64_t i = 0; i < n; i++) body(v + i, o[i], double(m[i]));
  });
}

// Walking up from the smallest logit and adding weights, the value at which reached(sum) first holds, and the sum of all below it.
// The largest value that has weight if it never holds.
struct Cut {
  uint32_t order;
  double below;
};
template <class Weight, class Reached>
GT_INLINE Cut find_cut(const Row& row, const Weight& weight, const Reached& reached) {
  Cut cut{0, 0};
  uint32_t known = 0;  // the bits of cut.order that are settled
  for (int shift : {21, 10, 0}) {
    const uint32_t digits = shift == 0 ? 1024 : 2048;
    double bins[2048];
    for (uint32_t i = 0; i < digits; i++) bins[i] = 0;
    each(row, [&](int64_t, uint32_t order, double mass) {
      if ((order & known) == cut.order) bins[(order >> shift) & (digits - 1)] += weight(order, mass);
    });
    uint32_t digit = 0;
    double sum = cut.below;
    for (uint32_t i = 0; i < digits; i++) {
      if (bins[i] == 0) continue;
      digit = i;
      cut.below = sum;
      sum += bins[i];
      if (reached(sum)) break;
    }
    cut.order |= digit << shift;
    known |= (digits - 1) << shift;
  }
  return cut;
}

__attribute__((flatten)) int32_t sample_row(const Row& row, double uniform, const SamplingFilters& f) {
  Cut cut{0, 0};
  if (f.top_k < row.V) {
    const double dropped = double(row.V - f.top_k);
    cut.order = find_cut(row, [](uint32_t, double) { return 1.0; }, [=](double count) { return count > dropped; }).order;
  }

  double total = 0;
  each(row, [&](int64_t, uint32_t order, double mass) { total += order >= cut.order ? mass : 0; });
  // in float32, as the tensors that transformers compares
  const auto stays = [&](double mass_so_far) { return float(mass_so_far / total) > f.drop_below; };
  if (f.drop_below >= 0) {
    const uint32_t lowest = cut.order;
    cut = find_cut(row, [=](uint32_t order, double mass) { return order >= lowest ? mass : 0; }, stays);
  }

  int64_t last_at_cut = 0;
  const auto each_kept = [&](const auto& body) {
    double so_far = cut.below;
    each(row, [&](int64_t v, uint32_t order, double mass) {
      if (order < cut.order) return;
      if (order == cut.order) {
        so_far += mass;
        last_at_cut = v;
        if (!stays(so_far)) return;
      }
      body(v, mass);
    });
  };
  double kept = 0;
  each_kept([&](int64_t, double mass) { kept += mass; });
  if (kept == 0) return int32_t(last_at_cut);  // top_p so small that only the largest stays

  double so_far = 0;
  int64_t chosen = -1, last = -1;
  each_kept([&](int64_t v, double mass) {
    if (mass == 0) return;
    so_far += mass;
    last = v;
    if (chosen < 0 && so_far > uniform * kept) chosen = v;
  });
  return int32_t(chosen < 0 ? last : chosen);
}

void sample(Threads& threads, int32_t* next, const float* logits, const double* uniforms, int64_t B, int64_t V, const SamplingFilters& filters) {
  threads.run(B, [&](int64_t b) {
    const float* z = logits + b * V;
    const Peak top = peak(z, V);
    next[b] = usable(z, V, top.value) ? sample_row({z, V, top.value, filters.temperature}, uniforms[b], filters) : -1;
  });
}

}  // namespace

extern const SamplingKernels GT_TABLE(sampling);
const SamplingKernels GT_TABLE(sampling) = {greedy, sample};

}  // namespace gt::cpu
