#include "ops/qk_norm_rope/qk_norm_rope.h"
#include "ops/qk_norm_rope/reference.h"
#include "testing/op_case.h"

using namespace gt;
using namespace gt::testing;

namespace {

constexpr float kEps = 1e-6f;
constexpr int64_t kPositions = 50;

template <class E, class W, class G = float>
struct Case {
  reference::QkNormRopeShape s;
  Fenced<E> q, k, qkv, dq, dk, dqkv;
  Fenced<W> q_weight, k_weight;
  Fenced<float> rstd, cos, sin;
  Fenced<G> dq_weight, dk_weight;
  std::vector<int32_t> positions;

  explicit Case(reference::QkNormRopeShape s)
      : s(s), q(s.T * s.H * s.D), k(s.T * s.K * s.D), qkv(s.T * (s.H + 2 * s.K) * s.D), dq(q.size()), dk(k.size()), dqkv(qkv.size()), q_weight(s.D), k_weight(s.D), rstd(s.T * (s.H + s.K)), cos(kPositions * s.D / 2), sin(kPositions * s.D / 2), dq_weight(s.D), dk_weight(s.D) {
    Random random(uint64_t(s.T * 1000 + s.H * 100 + s.D));
    qkv.randomize(random, 3), dq.randomize(random), dk.randomize(random), q_weight.randomize(random, 0.3), k_weight.randomize(random, 0.3);
    for (int64_t t = 0; t < s.T; t++) positions.push_back(int32_t(random.below(kPositions)));
    rope_table(cos.tensor({kPositions, s.D / 2}), sin.tensor({kPositions, s.D / 2}), 1e4, 1);
    dq_weight.fill(1), dk_weight.fill(2);  // += contract
  }
  Tensor positions_tensor() { return Tensor(positions.data(), DType::i32, {s.T}); }
  Tensor table(Fenced<float>& t) { return t.tensor({kPositions, s.D / 2}); }
  void forward(Device& device) {
    qk_norm_rope_forward(device, q.tensor({s.T, s.H, s.D}), k.tensor({s.T, s.K, s.D}), rstd.tensor({s.T, s.H + s.K}), qkv.tensor({s.T, s.H + 2 * s.K, s.D}), q_weight.tensor({s.D}), k_weight.tensor({s.D}), table(cos), table(sin), positions_tensor(), kEps);
  }
  void backward(Device& device) {
    qk_norm_rope_backward(device, dqkv.tensor({s.T, s.H + 2 * s.K, s.D}), dq_weight.tensor({s.D}), dk_weight.tensor({s.D}), dq.tensor({s.T, s.H, s.D}), dk.tensor({s.T, s.K, s.D}), qkv.tensor({s.T, s.H + 2 * s.K, s.D}), q_weight.tensor({s.D}), k_weight.tensor({s.D}), rstd.tensor({s.T, s.H + s.K}), table(cos), table(sin), positions_tensor());
  }
};

// The reference in number type N on the values that the kernel sees.
template <class N>
struct Expected {
  std::vector<N> q, k, dqkv, dq_weight, dk_weight;
  template <class E, class W, class G>
  explicit Expected(Case<E, W, G>& c) : q(size_t(c.q.size())), k(size_t(c.k.size())), dqkv(size_t(c.qkv.size())), dq_weight(size_t(c.s.D), 1), dk_weight(size_t(c.s.D), 2) {
    auto qkv = c.qkv.template values<N>(), qw = c.q_weight.template values<N>(), kw = c.k_weight.template values<N>(), cos = c.cos.template values<N>(), sin = c.sin.template values<N>();
    reference::qk_norm_rope(q, k, qkv, qw, kw, cos, sin, c.positions, c.s, kEps);
    reference::qk_norm_rope_backward(dqkv, dq_weight, dk_weight, c.dq.template values<N>(), c.dk.template values<N>(), qkv, qw, kw, cos, sin, c.positions, c.s, kEps);
  }
};

template <class E, class W, class G = float>
void parity(reference::QkNormRopeShape s, int threads) {
  Device device(DeviceKind::cpu, 0, threads);
  Case<E, W, G> c(s);
  Expected<double> want(c);
  Expected<float> in_float(c);
  c.forward(device);
  check_close("q", c.q, want.q, max_error(in_float.q, want.q));
  check_close("k", c.k, want.k, max_error(in_float.k, want.k));
  c.rstd.check_fences("rstd");

  c.dqkv.fill(7);  // the value heads must stay
  const int64_t row = (s.H + 2 * s.K) * s.D, written = (s.H + s.K) * s.D;
  for (int64_t t = 0; t < s.T; t++)
    for (int64_t i = 0; i < written; i++) c.dqkv.set(t * row + i, NAN);
  for (int64_t t = 0; t < s.T; t++)
    for (int64_t i = written; i < row; i++) want.dqkv[size_t(t * row + i)] = in_float.dqkv[size_t(t * row + i)] = 7;
  c.backward(device);
  for (int64_t t = 0; t < s.T; t++)
    for (int64_t i = written; i < row; i++) check(c.dqkv.get(t * row + i) == 7, "a value head of dqkv was written");
  check_close("dqkv", c.dqkv, want.dqkv, max_error(in_float.dqkv, want.dqkv));
  check_close("dq_weight", c.dq_weight, want.dq_weight, max_error(in_float.dq_weight, want.dq_weight));
  check_close("dk_weight", c.dk_weight, want.dk_weight, max_error(in_float.dk_weight, want.dk_weight));
}

}  // namespace

TEST(qk_norm_rope_matches_the_reference_on_odd_shapes) {
  using Shape = reference::QkNormRopeShape;
  for (const Shape& s : {Shape{1, 1, 1, 2}, {3, 2, 1, 6}, {33, 4, 2, 32}, {65, 4, 1, 256}, {5, 3, 3, 66}, {20000, 1, 1, 2}}) {
    parity<float, float>(s, 1);
    parity<bf16, bf16>(s, 2);
    parity<bf16, float>(s, 3);
    parity<float, bf16>(s, 1);
    parity<bf16, bf16, bf16>(s, 3);
  }
}

TEST(qk_norm_rope_backward_is_the_derivative_of_forward) {
  Case<float, float> c({3, 2, 1, 6});
  Expected<double> want(c);
  using C64 = std::complex<double>;
  auto qkv = c.qkv.values<C64>(), qw = c.q_weight.values<C64>(), kw = c.k_weight.values<C64>(), cos = c.cos.values<C64>(), sin = c.sin.values<C64>();
  auto dq = c.dq.values(), dk = c.dk.values();
  auto loss = [&] {
    std::vector<C64> q(dq.size()), k(dk.size());
    reference::qk_norm_rope(q, k, qkv, qw, kw, cos, sin, c.positions, c.s, kEps);
    C64 sum = 0;
    for (size_t i = 0; i < q.size(); i++) sum += q[i] * dq[i];
    for (size_t i = 0; i < k.size(); i++) sum += k[i] * dk[i];
    return sum;
  };
  for (size_t i = 0; i < qkv.size(); i++) check(std::abs(complex_step(qkv, i, loss) - want.dqkv[i]) < 1e-12, "dqkv[", i, "]");
  for (size_t i = 0; i < qw.size(); i++) check(std::abs(complex_step(qw, i, loss) - (want.dq_weight[i] - 1)) < 1e-12, "dq_weight[", i, "]");
  for (size_t i = 0; i < kw.size(); i++) check(std::abs(complex_step(kw, i, loss) - (want.dk_weight[i] - 2)) < 1e-12, "dk_weight[", i, "]");
}

// transformers 5.18 Gemma3RotaryEmbedding on torch 2.13, head size 256.
TEST(rope_table_matches_transformers) {
  struct Golden {
    double theta, factor;
    int64_t position, index;
    double cos, sin;
  };
  const Golden all[] = {
      {1e6, 1, 0, 64, 1.0, 0.0},
      {1e6, 1, 1, 127, 1.0, 1.1139738944621058e-06},
      {1e6, 1, 2, 64, 0.9999980330467224, 0.0019999986980110407},
      {1e6, 1, 511, 1, 0.9989599585533142, 0.0455964095890522},
      {1e6, 1, 8191, 2, -0.985980749130249, -0.16685925424098969},
      {1e6, 1, 32767, 0, 0.9822633266448975, 0.1875065565109253},
      {1e6, 1, 32767, 1, -0.9762575626373291, 0.21661293506622314},
      {1e6, 1, 32767, 64, 0.21795710921287537, 0.9759583473205566},
      {1e4, 1, 511, 2, -0.8974763751029968, 0.44106248021125793},
      {1e4, 1, 32767, 127, -0.9288223385810852, -0.37052541971206665},
      {1e6, 8, 511, 2, 0.35518088936805725, 0.9347975850105286},
      {1e6, 8, 32767, 1, 0.40775319933891296, 0.9130921959877014},
  };
  const int64_t P = 32768, half = 128;
  Fenced<float> cos(P * half), sin(P * half);
  double theta = 0, factor = 0;
  for (const Golden& g : all) {
    if (g.theta != theta || g.factor != factor) rope_table(cos.tensor({P, half}), sin.tensor({P, half}), theta = g.theta, factor = g.factor);
    const int64_t at = g.position * half + g.index;
    check(std::abs(cos[at] - g.cos) <= 1.2e-7 && std::abs(sin[at] - g.sin) <= 1.2e-7, "theta ", theta, ", factor ", factor, ", position ", g.position, ", index ", g.index, ": ", cos[at], " ", sin[at]);
  }
  cos.check_fences("cos"), sin.check_fences("sin");
}

template <class G>
static void same_bits_with_any_thread_count() {
  std::vector<double> first;
  for (int threads : {1, 2, 5}) {
    Device device(DeviceKind::cpu, 0, threads);
    Case<bf16, float, G> c({101, 2, 1, 24});
    c.dqkv.fill(0);
    c.forward(device), c.backward(device);
    std::vector<double> all;
    for (auto values : {c.q.values(), c.k.values(), c.rstd.values(), c.dqkv.values(), c.dq_weight.values(), c.dk_weight.values()}) all.insert(all.end(), values.begin(), values.end());
    if (first.empty()) first = all;
    check(all == first, "bits differ with ", threads, " threads");
  }
}

TEST(qk_norm_rope_gives_the_same_bits_with_any_thread_count) {
  same_bits_with_any_thread_count<float>();
  same_bits_with_any_thread_count<bf16>();
}

TEST(qk_norm_rope_refuses_bad_positions_and_shapes) {
  Device device(DeviceKind::cpu, 0, 1);
  Case<float, float> c({2, 2, 1, 4});
  c.positions[1] = int32_t(kPositions);
  check_throws(Code::kArgument, "positions[1] is 50, expected 0 to 49", [&] { c.forward(device); });
  check_throws(Code::kArgument, "positions[1] is 50, expected 0 to 49", [&] { c.backward(device); });
  c.positions[1] = -1;
  check_throws(Code::kArgument, "positions[1] is -1", [&] { c.forward(device); });
  check_throws(Code::kShape, "qkv is float32 [2, 3, 4], expected shape [2, 4, 4]", [&] {
    qk_norm_rope_forward(device, c.q.tensor({2, 2, 4}), c.k.tensor({2, 1, 4}), c.rstd.tensor({2, 3}), c.qkv.tensor({2, 3, 4}), c.q_weight.tensor({4}), c.k_weight.tensor({4}), c.table(c.cos), c.table(c.sin), c.positions_tensor(), kEps);
  });
  check_throws(Code::kArgument, "theta is 0", [&] { rope_table(c.table(c.cos), c.table(c.sin), 0, 1); });
}
