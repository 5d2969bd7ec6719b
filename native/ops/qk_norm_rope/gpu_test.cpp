#include "ops/qk_norm_rope/qk_norm_rope.h"
#include "ops/qk_norm_rope/reference.h"
#include "testing/gpu_case.h"

#if defined(GEMMATUNE_EMULATED)
#include "gpu/emulator.h"
#endif

using namespace gt;
using namespace gt::testing;

namespace {

constexpr float kEps = 1e-6f;
constexpr int64_t kPositions = 600;

struct Case {
  reference::QkNormRopeShape s;
  OnGpu<bf16> q, k, qkv, dq, dk, dqkv, q_weight, k_weight;
  OnGpu<float> rstd, cos, sin, dq_weight, dk_weight;
  OnGpu<int32_t> positions;

  Case(Device& device, reference::QkNormRopeShape s, double scale = 3)
      : s(s), q(device, s.T * s.H * s.D), k(device, s.T * s.K * s.D), qkv(device, s.T * (s.H + 2 * s.K) * s.D), dq(device, q.size()), dk(device, k.size()), dqkv(device, qkv.size()), q_weight(device, s.D), k_weight(device, s.D),
        rstd(device, s.T * (s.H + s.K)), cos(device, kPositions * s.D / 2), sin(device, kPositions * s.D / 2), dq_weight(device, s.D), dk_weight(device, s.D), positions(device, s.T) {
    Random random(uint64_t(s.T * 1000 + s.H * 100 + s.D));
    qkv.randomize(random, scale), dq.randomize(random), dk.randomize(random), q_weight.randomize(random, 0.3), k_weight.randomize(random, 0.3);
    for (int64_t t = 0; t < s.T; t++) positions[t] = int32_t(random.below(kPositions));
    rope_table(Tensor(cos.data(), DType::f32, {kPositions, s.D / 2}), Tensor(sin.data(), DType::f32, {kPositions, s.D / 2}), 1e4, 1);
    dq_weight.fill(1), dk_weight.fill(2);  // += contract
    for (int64_t i = 0; i < dqkv.size(); i++)
      if (i / s.D % (s.H + 2 * s.K) >= s.H + s.K) dqkv.set(i, 0.25);  // the value heads must stay
    upload(qkv, dq, dk, dqkv, q_weight, k_weight, cos, sin, dq_weight, dk_weight, positions);

    const Tensor tokens = qkv.tensor({s.T, s.H + 2 * s.K, s.D}), rstds = rstd.tensor({s.T, s.H + s.K}), c = cos.tensor({kPositions, s.D / 2}), si = sin.tensor({kPositions, s.D / 2});
    qk_norm_rope_forward(device, q.tensor({s.T, s.H, s.D}), k.tensor({s.T, s.K, s.D}), rstds, tokens, q_weight.tensor({s.D}), k_weight.tensor({s.D}), c, si, positions.tensor({s.T}), kEps);
    qk_norm_rope_backward(device, dqkv.tensor({s.T, s.H + 2 * s.K, s.D}), dq_weight.tensor({s.D}), dk_weight.tensor({s.D}), dq.tensor({s.T, s.H, s.D}), dk.tensor({s.T, s.K, s.D}), tokens, q_weight.tensor({s.D}), k_weight.tensor({s.D}), rstds, c, si, positions.tensor({s.T}));
    download(q, k, rstd, dqkv, dq_weight, dk_weight);
  }
};

// The reference in number type N on the values that the kernel sees.
template <class N>
struct Expected {
  std::vector<N> q, k, dqkv, dq_weight, dk_weight;
  explicit Expected(Case& c) : q(size_t(c.q.size())), k(size_t(c.k.size())), dqkv(size_t(c.qkv.size()), 0.25), dq_weight(size_t(c.s.D), 1), dk_weight(size_t(c.s.D), 2) {
    const auto qkv = c.qkv.values<N>(), qw = c.q_weight.values<N>(), kw = c.k_weight.values<N>(), cos = c.cos.values<N>(), sin = c.sin.values<N>();
    const auto positions = c.positions.values<int32_t>();
    reference::qk_norm_rope(q, k, qkv, qw, kw, cos, sin, positions, c.s, kEps);
    reference::qk_norm_rope_backward(dqkv, dq_weight, dk_weight, c.dq.values<N>(), c.dk.values<N>(), qkv, qw, kw, cos, sin, positions, c.s, kEps);
  }
};

}  // namespace

TEST(qk_norm_rope_on_a_gpu_matches_the_reference_each_time) {
  on_each_gpu([](Device& device) {
    struct { reference::QkNormRopeShape s; double scale; } cases[] = {{{1, 1, 1, 8}, 3}, {{31, 4, 1, 256}, 3}, {{31, 4, 1, 256}, 1e-3 /* as small as eps */}, {{5, 6, 3, 72}, 3}, {{512, 2, 1, 16}, 3}, {{513, 1, 1, 24}, 3}};
    for (const auto& [s, scale] : cases) {
      Case c(device, s, scale);
      const Expected<double> want(c);
      const Expected<float> in_float(c);
      check_close("q", c.q, want.q, max_error(rounded(in_float.q), want.q));
      check_close("k", c.k, want.k, max_error(rounded(in_float.k), want.k));
      check_close("dqkv", c.dqkv, want.dqkv, max_error(rounded(in_float.dqkv), want.dqkv));
      // float32 in memory: held to float32, where PyTorch has bfloat16
      check_close("dq_weight", c.dq_weight, want.dq_weight, max_error(in_float.dq_weight, want.dq_weight));
      check_close("dk_weight", c.dk_weight, want.dk_weight, max_error(in_float.dk_weight, want.dk_weight));
      c.rstd.check_fences("rstd");
      for (int64_t i = 0; i < c.dqkv.size(); i++)
        if (i / s.D % (s.H + 2 * s.K) >= s.H + s.K) check(c.dqkv.get(i) == 0.25, "a value head of dqkv was written");

#if defined(GEMMATUNE_EMULATED)
      emulated::options().seed++;
#endif
      Case again(device, s, scale);
      check(same_bits(c.q, again.q) && same_bits(c.k, again.k) && same_bits(c.rstd, again.rstd) && same_bits(c.dqkv, again.dqkv) && same_bits(c.dq_weight, again.dq_weight) && same_bits(c.dk_weight, again.dk_weight), "two runs differ");
    }
  });
}

TEST(qk_norm_rope_on_a_gpu_gives_a_token_the_same_bits_in_any_batch) {
  on_each_gpu([](Device& device) {
    const reference::QkNormRopeShape s{9, 4, 1, 256};
    Case c(device, s);
    OnGpu<bf16> q(device, s.H * s.D), k(device, s.K * s.D);
    OnGpu<float> rstd(device, s.H + s.K);
    for (int64_t t : {0, 3, 8}) {
      qk_norm_rope_forward(device, q.tensor({1, s.H, s.D}), k.tensor({1, s.K, s.D}), rstd.tensor({1, s.H + s.K}), c.qkv.tensor({s.T, s.H + 2 * s.K, s.D}).rows(t, 1), c.q_weight.tensor({s.D}), c.k_weight.tensor({s.D}),
                           c.cos.tensor({kPositions, s.D / 2}), c.sin.tensor({kPositions, s.D / 2}), c.positions.tensor({s.T}).rows(t, 1), kEps);
      download(q, k, rstd);
      check(!std::memcmp(q.data(), c.q.data() + t * q.size(), size_t(q.size()) * 2) && !std::memcmp(k.data(), c.k.data() + t * k.size(), size_t(k.size()) * 2), "token ", t);
    }
  });
}

TEST(qk_norm_rope_on_a_gpu_refuses_what_it_has_no_kernel_for) {
  on_each_gpu([](Device& device) {
    const std::string backend = text("the ", gt::name_of(device.kind), " backend takes ");
    const auto forward = [&](auto& x, auto& weight, int64_t D) {
      OnGpu<float> f(device, 2 * D);
      OnGpu<int32_t> positions(device, 1);
      qk_norm_rope_forward(device, x.tensor({1, 1, D}), x.tensor({1, 1, D}), f.tensor({1, 2}), x.tensor({1, 3, D}), weight.tensor({D}), weight.tensor({D}), f.tensor({4, D / 2}), f.tensor({4, D / 2}), positions.tensor({1}), kEps);
    };
    OnGpu<float> a(device, 24);
    OnGpu<bf16> b(device, 1024);
    check_throws(Code::kArgument, "qk_norm_rope: qkv is float32 [1, 3, 8], " + backend + "bfloat16", [&] { forward(a, b, 8); });
    check_throws(Code::kArgument, "qk_norm_rope: q_weight is float32 [8], " + backend + "bfloat16", [&] { forward(b, a, 8); });
    for (int64_t D : {12, 264}) check_throws(Code::kShape, text("qk_norm_rope: the head size is ", D, ", ", backend, "multiples of 8 up to 256"), [&] { forward(b, b, D); });
  });
}
