#include "ops/adamw/adamw.h"
#include "ops/adamw/cpu.h"
#include "ops/adamw/reference.h"
#include "ops/adamw/stochastic.h"
#include "testing/op_case.h"

using namespace gt;
using namespace gt::testing;

namespace {

// torch 2.13: Generator().manual_seed(1); param = randn(19), then three steps with gradients randn(19) · 10^-step through
// torch.optim.AdamW(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1, fused=True) on the CPU. Float32 bits.
const uint32_t kStart[19] = {0xbfc346ba, 0xbf400f31, 0xbf276b4b, 0x3e4bdc0e, 0x3f5d9e04, 0x3e7a4504, 0xbf29b48f, 0x3f4eabc1, 0x3ee0d72a, 0x3f95e9e8, 0x3fe23b0f, 0xbfb92589, 0x3d7a7df6, 0xbf1e2480, 0xbf4c4e4e, 0xbe06c83c, 0xbf4c668d, 0x3eabe4df, 0x3e8cf884};
const uint32_t kGradients[3][19] = {{0xbf460124, 0x3e4bd578, 0x3d3b32d6, 0x3f952342, 0x4000fc2e, 0x3e5c58ca, 0xbf06318e, 0xbfe6d4a1, 0xbfa7770f, 0x3ee810fc, 0x3f923256, 0xc055319f, 0xbf3f748e, 0x3f8f0550, 0x3e98a531, 0x3de10bac, 0xbf257671, 0x3edb69e5, 0x3fbcf01e},
{0x3e2b5be4, 0x3a8790c8, 0x3dc976b4, 0xbe16ff11, 0xbd0be900, 0xbcf5f8ba, 0x3e05e443, 0xbdee2425, 0x3c440306, 0xbc85a3f6, 0x3d8776c9, 0xbdbe7c17, 0x3e127266, 0x3d2c594a, 0xbd10eb4e, 0x3d9c73c7, 0xbd713bf5, 0xbd9c627f, 0x3e08b99e},
{0x3afe0be1, 0xbcd39deb, 0x3c0be8ed, 0x3c7de3cb, 0x3b63d282, 0x3a73d0a1, 0x3bc97027, 0x3be96d78, 0xbc91880f, 0x3b67e8a0, 0x3c448b6d, 0xbbe9649c, 0xbbcb2c41, 0xbb1582b1, 0xbc015094, 0xbc83fb76, 0xbc995291, 0x3bb1f527, 0x3bd87dbd}};
const uint32_t kParam[19] = {0xbfc2fa1e, 0xbf408a96, 0xbf28124e, 0x3e49ba9a, 0x3f5cff06, 0x3e782661, 0xbf292fe1, 0x3f4f307f, 0x3ee1e430, 0x3f95981e, 0x3fe1df56, 0xbfb8ce63, 0x3d812605, 0xbf1eaad8, 0xbf4cc223, 0xbe0973a8, 0xbf4bbec1, 0x3eaad8a5, 0x3e8bbf9d};
const uint32_t kM[19] = {0xbd422173, 0x3c5f5ed4, 0x3c5bb27a, 0x3da946da, 0x3e245f67, 0x3c72d187, 0xbcf6644d, 0xbe1f90ab, 0xbdda77c8, 0x3d11d08a, 0x3dcc1e90, 0xbe8eccd9, 0xbd45f1e1, 0x3dc0a4b4, 0x3ca546f0, 0x3c681427, 0xbd73d11a, 0x3ce882b3, 0x3e0769e1};
const uint32_t kV[19] = {0x3a23d81f, 0x3828aa04, 0x37466283, 0x3ab4759e, 0x3b84dea7, 0x38459a99, 0x3998bfec, 0x3b5597f2, 0x3adff7d1, 0x395747cc, 0x3aab3cd2, 0x3c3595e0, 0x3a17b19d, 0x3aa38b7f, 0x38bcc907, 0x37982bf1, 0x39dc95f1, 0x394652c6, 0x3b0facc1};

double kNorm = 8;
const Tensor norm(&kNorm, DType::f64, {1});

float float_of(uint32_t bits) {
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

// The operands of one update over N elements; `split` stores param as bfloat16 and remainder.
struct Case {
  int64_t N;
  bool split;
  Fenced<float> param, grad, m, v;
  Fenced<bf16> high;
  Fenced<int16_t> remainder;

  Case(int64_t N, bool split, uint64_t seed) : N(N), split(split), param(N), grad(N), m(N), v(N), high(N), remainder(N) {
    Random random(seed);
    param.randomize(random), grad.randomize(random, 3), m.randomize(random, 0.1);
    for (int64_t i = 0; i < N; i++) v.set(i, 0.01 * random.uniform());
    for (int64_t i = 0; i < N; i++) split_master(param[i], &high[i], &remainder[i]);
  }
  void update(Device& device, const AdamW& o) {
    Tensor p = split ? high.tensor({N}) : param.tensor({N}), r = split ? remainder.tensor({N}) : Tensor();
    adamw_update(device, p, r, grad.tensor({N}), m.tensor({N}), v.tensor({N}), norm, o);
    if (split)
      for (int64_t i = 0; i < N; i++) param[i] = join_master(high[i], remainder[i]);
    high.check_fences("param bfloat16"), remainder.check_fences("remainder");
  }
};

AdamW options(int64_t step) {
  AdamW o;
  o.learning_rate = 1e-2, o.weight_decay = 0.05, o.step = step, o.divisor = 4;
  o.max_grad_norm = step == 2 ? 0.5 : step == 3 ? 100 : 0;  // of a gradient whose norm is 8 / 4
  return o;
}

}  // namespace

TEST(adamw_matches_torch_fused) {
  Device device(DeviceKind::cpu, 0, 1);
  const int64_t N = 19;
  Fenced<float> p(N), g(N), m(N), v(N);
  m.fill(0), v.fill(0);
  AdamW o;
  o.learning_rate = 1e-3, o.weight_decay = 0.1;
  for (int64_t i = 0; i < N; i++) p[i] = float_of(kStart[i]);
  for (o.step = 1; o.step <= 3; o.step++) {
    for (int64_t i = 0; i < N; i++) g[i] = float_of(kGradients[o.step - 1][i]);
    adamw_update(device, p.tensor({N}), {}, g.tensor({N}), m.tensor({N}), v.tensor({N}), norm, o);
  }
  // A rounding or two: where a multiply and an add are fused differs. m may cancel, so its error is relative to its first term.
  for (int64_t i = 0; i < N; i++) {
    float want_p = float_of(kParam[i]), want_m = float_of(kM[i]), want_v = float_of(kV[i]), first = float_of(kGradients[0][i]);
    check(std::abs(p[i] - want_p) <= 0x1p-22f * std::abs(want_p), "param[", i, "] is ", p[i], ", torch has ", want_p);
    check(std::abs(m[i] - want_m) <= 0x1p-24f * std::abs(first), "m[", i, "] is ", m[i], ", torch has ", want_m);
    check(std::abs(v[i] - want_v) <= 0x1p-22f * want_v, "v[", i, "] is ", v[i], ", torch has ", want_v);
  }
}

TEST(adamw_matches_the_reference_zeroes_the_gradient_and_splits_exactly) {
  Device device(DeviceKind::cpu, 0, 2);
  for (int64_t N : {1, 15, 16, 17, 33, 16384, 40001}) {
    Case whole(N, false, uint64_t(N)), split(N, true, uint64_t(N));
    for (int64_t step : {1, 2, 3, 1000}) {
      auto p_want = whole.param.values(), m_want = whole.m.values(), v_want = whole.v.values();
      auto p_float = whole.param.values<float>(), m_float = whole.m.values<float>(), v_float = whole.v.values<float>();
      reference::adamw(p_want, whole.grad.values(), m_want, v_want, kNorm, options(step));
      reference::adamw(p_float, whole.grad.values<float>(), m_float, v_float, kNorm, options(step));

      whole.update(device, options(step)), split.update(device, options(step));
      check_close("param", whole.param, p_want, max_error(p_float, p_want));
      check_close("m", whole.m, m_want, max_error(m_float, m_want));
      check_close("v", whole.v, v_want, max_error(v_float, v_want));
      for (int64_t i = 0; i < N; i++) check(whole.grad[i] == 0 && split.grad[i] == 0, "grad[", i, "] was not zeroed");
      whole.grad.check_fences("grad");
      check(!std::memcmp(whole.param.data(), split.param.data(), size_t(N) * 4), "the split form differs from the float32 form");

      Random random{uint64_t(step)};
      whole.grad.randomize(random);
      for (int64_t i = 0; i < N; i++) split.grad[i] = whole.grad[i];
    }
  }
}

TEST(adamw_clears_a_gradient_without_a_finite_norm_and_changes_nothing_else) {
  Device device(DeviceKind::cpu, 0, 2);
  const int64_t N = 33;
  for (bool split : {false, true})
    for (double bad : {double(INFINITY), double(NAN)}) {
      Case before(N, split, 7), after(N, split, 7);
      kNorm = bad;
      after.update(device, options(1));
      kNorm = 8;
      check(!std::memcmp(before.m.data(), after.m.data(), N * 4) && !std::memcmp(before.v.data(), after.v.data(), N * 4) && !std::memcmp(before.param.data(), after.param.data(), N * 4), "norm ", bad, ": weights or moments changed");
      for (int64_t i = 0; i < N; i++) check(after.grad[i] == 0, "norm ", bad, ": grad[", i, "] is ", after.grad[i]);
    }
}

TEST(adamw_does_not_depend_on_where_a_range_starts) {
  Device device(DeviceKind::cpu, 0, 2);
  const int64_t N = 101, cut = 37;
  for (bool split : {false, true}) {
    Case one(N, split, 5), two(N, split, 5);
    one.update(device, options(3));
    auto part = [&](int64_t first, int64_t n) {
      Tensor p = split ? two.high.tensor({N}) : two.param.tensor({N}), r = split ? two.remainder.tensor({N}).rows(first, n) : Tensor();
      adamw_update(device, p.rows(first, n), r, two.grad.tensor({N}).rows(first, n), two.m.tensor({N}).rows(first, n), two.v.tensor({N}).rows(first, n), norm, options(3));
    };
    part(0, cut), part(cut, N - cut);
    if (split) check(!std::memcmp(one.high.data(), two.high.data(), N * 2) && !std::memcmp(one.remainder.data(), two.remainder.data(), N * 2), "split parts differ");
    else check(!std::memcmp(one.param.data(), two.param.data(), N * 4), "parts differ");
  }
}

TEST(adamw_gives_the_same_bits_with_any_thread_count) {
  std::vector<float> first;
  for (int threads : {1, 2, 5}) {
    Device device(DeviceKind::cpu, 0, threads);
    Case c(70001, true, 9);
    c.update(device, options(2));
    auto all = c.param.values<float>();
    if (first.empty()) first = all;
    check(all == first, "bits differ with ", threads, " threads");
  }
}

TEST(split_master_rounds_half_up_and_joins_exactly) {
  Random random(1);
  for (int i = 0; i < 1000000; i++) {
    uint32_t bits = i < 65536 ? uint32_t(i) << 16 | 0x8000 : uint32_t(random.bits());
    float master = float_of(bits);
    bf16 high;
    int16_t remainder;
    split_master(master, &high, &remainder);
    float joined = join_master(high, remainder);
    check(!std::memcmp(&joined, &bits, 4), "bits ", bits, " did not come back");
    check(high.bits == uint16_t((uint64_t(bits) + 0x8000) >> 16), "high of ", bits, " is ", high.bits);
  }
}

// Without masters.
namespace {

struct Narrow {
  int64_t N;
  Fenced<bf16> param, grad, m, v;

  Narrow(int64_t N, uint64_t seed) : N(N), param(N), grad(N), m(N), v(N) {
    Random random(seed);
    param.randomize(random, 0.1), grad.randomize(random, 3), m.randomize(random, 0.1);
    for (int64_t i = 0; i < N; i++) v.set(i, 0.01 * random.uniform());
  }
  void update(Device& device, const AdamW& o) {
    adamw_update(device, param.tensor({N}), {}, grad.tensor({N}), m.tensor({N}), v.tensor({N}), norm, o);
    for (auto* t : {&param, &grad, &m, &v}) t->check_fences("an operand");
  }
  std::vector<double> state() {
    auto all = param.values();
    for (auto* t : {&m, &v})
      for (double x : t->values()) all.push_back(x);
    return all;
  }
};

// The kernels that this machine can run.
std::vector<const cpu::AdamWKernels*> kernels() {
#if defined(__x86_64__)
  std::vector<const cpu::AdamWKernels*> all{&cpu::adamw_portable};
  if (cpu::isa() >= cpu::Isa::avx2) all.push_back(&cpu::adamw_avx2);
  if (cpu::isa() >= cpu::Isa::avx512) all.push_back(&cpu::adamw_avx512);
  return all;
#else
  return {&cpu::adamw_portable};
#endif
}

double mean(const std::vector<double>& v) {
  double sum = 0;
  for (double x : v) sum += x;
  return sum / double(v.size());
}

}  // namespace

TEST(adamw_without_masters_rounds_the_reference_to_a_neighbour) {
  for (int64_t N : {1, 15, 16, 17, 40000}) {
    Device device(DeviceKind::cpu, 0, 2);
    Narrow c(N, uint64_t(N));
    for (int64_t step = 1; step <= 3; step++) {
      auto p = c.param.values(), m = c.m.values(), v = c.v.values();
      reference::adamw(p, c.grad.values(), m, v, kNorm, options(step));
      c.update(device, options(step));
      // Less than one unit in the last of eight digits, after what float32 errs: 2^-22 of the terms, which are below 8 and may cancel.
      auto check_neighbours = [&](const char* name, Fenced<bf16>& got, const std::vector<double>& want) {
        for (int64_t i = 0; i < N; i++) {
          const double error = 8 * 0x1p-22, limit = std::ldexp(1, std::ilogb(std::abs(want[size_t(i)]) + error) - 7) + error;
          check(std::abs(got.get(i) - want[size_t(i)]) <= limit, name, "[", i, "] is ", got.get(i), ", expected one of the neighbours of ", want[size_t(i)]);
        }
      };
      check_neighbours("param", c.param, p), check_neighbours("m", c.m, m), check_neighbours("v", c.v, v);
      for (int64_t i = 0; i < N; i++) check(c.grad.get(i) == 0, "grad[", i, "] was not zeroed");
      Random random{uint64_t(step)};
      c.grad.randomize(random);
    }
  }
}

// No sum is fused with a product in this step (no moments before, no decay), so plain float32 has its bits; what is left is the rounding.
TEST(adamw_without_masters_has_the_bits_of_the_definition_on_every_instruction_set) {
  const int64_t N = 3001, first = (int64_t(1) << 32) - 1600;  // across 2^32
  AdamW o = options(1);
  o.weight_decay = 0, o.seed = 77, o.first = first, o.max_grad_norm = 0, o.step = 5;
  AdamWConstants k = adamw_constants(o);
  k.gradient_scale = gradient_scale(kNorm, o.divisor, o.max_grad_norm);
  const UpdateDraws draws = update_draws(o.seed, o.step);
  Device device(DeviceKind::cpu, 0, 2);
  for (const cpu::AdamWKernels* kernel : kernels()) {
    Narrow before(N, 3), c(N, 3);
    for (auto* n : {&before, &c}) n->m.fill(0), n->v.fill(0);
    kernel->update_stochastic(device.threads(), c.param.data(), c.grad.data(), c.m.data(), c.v.data(), N, k, draws, first);
    for (int64_t i = 0; i < N; i++) {
      const float g = float(before.grad.get(i)) * k.gradient_scale, m = k.one_minus_beta1 * g, v = k.one_minus_beta2 * g * g;
      const float p = float(before.param.get(i)) - k.step_size * m / (std::sqrt(v) / k.root_correction2 + k.epsilon);
      const uint32_t moments = random_bits(draws.moments, first + i), weight = random_bits(draws.weight, first + i);
      check(c.m[i].bits == to_bf16_stochastic(m, moments).bits, "m[", i, "] is ", c.m.get(i), ", of ", m);
      check(c.v[i].bits == to_bf16_stochastic(v, moments >> 16).bits, "v[", i, "] is ", c.v.get(i), ", of ", v);
      check(c.param[i].bits == to_bf16_stochastic(p, weight).bits, "param[", i, "] is ", c.param.get(i), ", of ", p);
    }
  }
}

TEST(adamw_without_masters_keeps_infinities_and_nan) {
  const uint32_t special[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001, 0xff800001, 0x7fffffff, 0xffffffff, 0, 0x80000000, 0x00010000, 0x3f800000};
  for (uint32_t bits : special)
    for (uint32_t random : {0u, 1u, 0x8000u, 0xffffu}) {
      const float f = float_of(bits), got = to_float(to_bf16_stochastic(f, random));
      if (std::isnan(f)) check(std::isnan(got), "NaN ", bits, " became ", got);
      else check(!std::memcmp(&f, &got, 4), f, " became ", got);
    }
  for (const cpu::AdamWKernels* kernel : kernels()) {
    Device device(DeviceKind::cpu, 0, 1);
    AdamWConstants k = adamw_constants(options(1));
    k.gradient_scale = 1;
    Narrow c(18, 1);
    c.param.set(0, NAN), c.param.set(1, INFINITY), c.param.set(17, -INFINITY), c.m.set(3, NAN), c.v.set(4, INFINITY);
    c.m[16].bits = 0xffff;
    kernel->update_stochastic(device.threads(), c.param.data(), c.grad.data(), c.m.data(), c.v.data(), c.N, k, update_draws(0, 1), 0);
    check(std::isnan(c.param.get(0)) && c.param.get(1) == INFINITY && c.param.get(17) == -INFINITY, "param: ", c.param.get(0), " ", c.param.get(1), " ", c.param.get(17));
    check(std::isnan(c.m.get(3)) && std::isnan(c.m.get(16)) && std::isnan(c.param.get(16)) && c.v.get(4) == INFINITY, "moments: ", c.m.get(3), " ", c.m.get(16), " ", c.v.get(4));
  }
}

TEST(adamw_without_masters_clears_a_gradient_without_a_finite_norm_and_changes_nothing_else) {
  Device device(DeviceKind::cpu, 0, 2);
  Narrow before(33, 7), after(33, 7);
  kNorm = NAN;
  after.update(device, options(1));
  kNorm = 8;
  check(before.state() == after.state(), "weights or moments changed");
  for (int64_t i = 0; i < 33; i++) check(after.grad.get(i) == 0, "grad[", i, "] is ", after.grad.get(i));
}

TEST(adamw_without_masters_depends_on_seed_step_and_index_alone) {
  const int64_t N = 70001, cut = 48;
  std::vector<double> first;
  for (int threads : {1, 2, 5}) {
    Device device(DeviceKind::cpu, 0, threads);
    Narrow whole(N, 9), parts(N, 9);
    AdamW o = options(3);
    o.seed = 5, o.first = 320;
    whole.update(device, o);
    if (first.empty()) first = whole.state();
    check(whole.state() == first, "bits differ with ", threads, " threads");
    for (auto [begin, n] : {std::pair<int64_t, int64_t>{0, cut}, {cut, N - cut}}) {
      auto range = [&, b = begin, n = n](Fenced<bf16>& t) { return t.tensor({N}).rows(b, n); };
      o.first = 320 + begin;
      adamw_update(device, range(parts.param), {}, range(parts.grad), range(parts.m), range(parts.v), norm, o);
    }
    check(parts.state() == first, "bits depend on where a range starts");
  }
  // With another seed or at another index about half of the roundings that were not sure anyway are others.
  Device device(DeviceKind::cpu, 0, 2);
  for (auto [seed, at] : {std::pair<uint64_t, int64_t>{6, 320}, {5, 336}}) {
    Narrow other(N, 9);
    AdamW o = options(3);
    o.seed = seed, o.first = at;
    other.update(device, o);
    int64_t different = 0;
    for (int64_t i = 0; i < N; i++) different += other.param.get(i) != first[size_t(i)];
    check(different > N / 4, "only ", different, " of ", N, " weights differ with seed ", seed, " and first ", at);
  }
}

TEST(stochastic_rounding_is_right_on_average) {
  // A million draws of each number: the mean of the rounded ones is the number, within four standard errors (of a Bernoulli variable times
  // the distance of the neighbours), plus 2^-16 of that distance, the grain of the probabilities.
  const int64_t N = 1000000;
  const UpdateDraws draws = update_draws(1, 1);
  for (float x : {1.f, 1.00001f, 1.003f, 1.0039f, -0.1f, 0.0333f, 3e-39f, -7.7e30f, 1.f / 3})
    for (int which = 0; which < 3; which++) {
      const Draw& draw = which < 2 ? draws.moments : draws.weight;
      double sum = 0;
      for (int64_t i = 0; i < N; i++) sum += double(to_float(to_bf16_stochastic(x, random_bits(draw, i) >> (which == 1 ? 16 : 0)))) - double(x);
      const double down = to_float(to_bf16_stochastic(x, 0)), up = to_float(to_bf16_stochastic(x, 0xffff)), gap = up - down;
      const double p = gap == 0 ? 0 : (double(x) - down) / gap;
      const double limit = std::abs(gap) * (4 * std::sqrt(p * (1 - p) / double(N)) + 0x1p-16);
      check(std::abs(sum / double(N)) <= limit, x, ": mean error ", sum / double(N), " exceeds ", limit);
    }
}

TEST(random_bits_are_even_and_uncorrelated) {
  // Of N fair bits the share of ones is 1/2 within five standard errors, 2.5 / √N. Each bit alone; the same bit of neighbours; of the same element at the next step, with the next seed, in the other draw.
  const int64_t N = 1 << 20;
  const double limit = 2.5 / std::sqrt(double(N));
  const UpdateDraws a = update_draws(3, 10), next_step = update_draws(3, 11), next_seed = update_draws(4, 10);
  struct Pair {
    const char* name;
    Draw x, y;
    int64_t distance;
  };
  const Pair pairs[] = {{"neighbours", a.moments, a.moments, 1}, {"elements 16 apart", a.moments, a.moments, 16}, {"elements 640 apart", a.weight, a.weight, 640}, {"elements 2^32 apart", a.weight, a.weight, int64_t(1) << 32},
                        {"steps", a.weight, next_step.weight, 0}, {"steps and neighbours", a.moments, next_step.moments, 1}, {"seeds", a.weight, next_seed.weight, 0}, {"the two draws", a.moments, a.weight, 0}};
  for (const Pair& pair : pairs) {
    int64_t ones[32] = {}, differ[32] = {}, halves[16] = {};
    for (int64_t i = 0; i < N; i++) {
      const uint32_t x = random_bits(pair.x, i), d = x ^ random_bits(pair.y, i + pair.distance), h = x ^ x >> 16;
      for (int b = 0; b < 32; b++) ones[b] += x >> b & 1, differ[b] += d >> b & 1;
      for (int b = 0; b < 16; b++) halves[b] += h >> b & 1;
    }
    for (int b = 0; b < 32; b++) {
      check(std::abs(double(ones[b]) / double(N) - 0.5) < limit, "bit ", b, " is 1 in ", ones[b], " of ", N);
      check(std::abs(double(differ[b]) / double(N) - 0.5) < limit, "bit ", b, " of ", pair.name, " differs in ", differ[b], " of ", N);
    }
    for (int b = 0; b < 16; b++) check(std::abs(double(halves[b]) / double(N) - 0.5) < limit, "bits ", b, " and ", b + 16, " differ in ", halves[b], " of ", N);
  }
}

// What it is for: steps of a hundredth of the distance between a weight and its neighbours, and a second moment that changes by less than half of
// its own. Means over N elements follow float32 masters: each weight is the sum of 100 roundings, each off by half a gap at most in standard deviation, so their
// mean is within four times 5 gaps / √N (v likewise). To nearest, neither moves at all.
TEST(adamw_without_masters_moves_as_far_as_with_them) {
  const int64_t N = 100000, steps = 100;
  const double gap = 0x1p-11, v_gap = 0x1p-8;  // of bfloat16 from 2^-4 to 2^-3, and from 1/2 to 1
  const float start = to_float(to_bf16(0.1f));
  const double bound = 4 * 5 / std::sqrt(double(N));
  Device device(DeviceKind::cpu, 0, 2);
  Narrow narrow(N, 1);
  Case whole(1, false, 1);
  std::vector<float> p{start}, m{0}, v{1};  // rounded to nearest
  narrow.param.fill(start), narrow.m.fill(0), narrow.v.fill(1);
  whole.param.set(0, start), whole.m.fill(0), whole.v.fill(1);
  AdamW o;
  o.learning_rate = gap / 40, o.seed = 8;
  for (o.step = 5001; o.step <= 5000 + steps; o.step++) {
    const float gradient = o.step % 3 ? 0.5f : 0.25f;
    narrow.grad.fill(gradient), whole.grad.fill(gradient);
    narrow.update(device, o), whole.update(device, o);
    reference::adamw(p, {gradient}, m, v, kNorm, o);
    for (auto* t : {&p, &m, &v}) (*t)[0] = to_float(to_bf16((*t)[0]));
  }
  check(p[0] == start && v[0] == 1, "rounded to nearest: ", p[0], " ", v[0]);
  const double moved = double(start) - double(whole.param[0]), narrow_moved = double(start) - mean(narrow.param.values());
  check(moved > 0.8 * gap, "with masters the weight moved by ", moved / gap, " gaps");
  check(std::abs(narrow_moved - moved) < bound * gap, "moved by ", narrow_moved / gap, " gaps, with masters by ", moved / gap);
  check(whole.v[0] < 0.95f && std::abs(mean(narrow.v.values()) - double(whole.v[0])) < bound * v_gap, "v is ", mean(narrow.v.values()), ", with masters ", whole.v[0]);
}

TEST(adamw_refuses_bad_operands_and_options) {
  Device device(DeviceKind::cpu, 0, 1);
  Fenced<float> p(4), g(4), m(4), v(4);
  Fenced<bf16> high(4);
  Fenced<int16_t> remainder(4);
  auto update = [&](const Tensor& param, const Tensor& r, const Tensor& grad, const AdamW& o) { adamw_update(device, param, r, grad, m.tensor({4}), v.tensor({4}), norm, o); };
  check_throws(Code::kArgument, "param is bfloat16 [4], expected float32", [&] { update(high.tensor({4}), {}, g.tensor({4}), AdamW()); });
  check_throws(Code::kArgument, "param is float32 [4], expected bfloat16", [&] { update(p.tensor({4}), remainder.tensor({4}), g.tensor({4}), AdamW()); });
  check_throws(Code::kShape, "remainder is int16 [3], expected shape [4]", [&] { update(high.tensor({4}), remainder.tensor({3}), g.tensor({4}), AdamW()); });
  check_throws(Code::kShape, "grad is float32 [3], expected shape [4]", [&] { update(p.tensor({4}), {}, g.tensor({3}), AdamW()); });
  check_throws(Code::kArgument, "a gradient or moment is float32 [4], expected bfloat16", [&] { adamw_update(device, high.tensor({4}), {}, g.tensor({4}), high.tensor({4}), high.tensor({4}), norm, AdamW()); });
  check_throws(Code::kArgument, "m is bfloat16 [4], expected float32 beside a remainder", [&] { adamw_update(device, high.tensor({4}), remainder.tensor({4}), high.tensor({4}), high.tensor({4}), high.tensor({4}), norm, AdamW()); });
  AdamW bad;
  bad.first = 8;
  check_throws(Code::kArgument, "first is 8, expected a multiple of 16", [&] { update(p.tensor({4}), {}, g.tensor({4}), bad); });
  bad.first = 0;
  bad.step = 0;
  check_throws(Code::kArgument, "step is 0, expected 1 or more", [&] { update(p.tensor({4}), {}, g.tensor({4}), bad); });
  bad.step = 1, bad.divisor = 0;
  check_throws(Code::kArgument, "divisor is 0, expected more than 0", [&] { update(p.tensor({4}), {}, g.tensor({4}), bad); });
  bad.divisor = 1, bad.beta2 = 1;
  check_throws(Code::kArgument, "beta2 is 1, expected 0 or more and below 1", [&] { update(p.tensor({4}), {}, g.tensor({4}), bad); });
}
