#include "ops/attention/attention.h"
#include "ops/attention/reference.h"
#include "testing/gpu_case.h"
#if defined(GEMMATUNE_EMULATED)
#include "gpu/emulator.h"
#endif

using namespace gt;
using namespace gt::testing;
using reference::AttentionCase;

namespace {

AttentionCase make_case(const std::vector<int64_t>& lengths, int64_t H, int64_t K, int64_t D, int64_t window) {
  AttentionCase c{{0}, H, K, D, 1 / std::sqrt(double(D)), window};
  for (int64_t n : lengths) c.starts.push_back(c.starts.back() + n);
  c.scale = float(c.scale);
  return c;
}

// How large the random operands are.
struct Sizes { double q = 1, v = 1, dout = 1; };

// Every operand of the op on the device. Outputs start as NaN; the query and key heads of dqkv, which must stay, as kUntouched.
struct Operands {
  static constexpr double kUntouched = -7;
  Device& device;
  AttentionCase c;
  int64_t n = c.tokens(), H = c.H, K = c.K, D = c.D;
  OnGpu<bf16> q{device, n * H * D}, k{device, n * K * D}, qkv{device, n * (H + 2 * K) * D}, out{device, n * H * D}, dout{device, n * H * D}, dq{device, n * H * D}, dk{device, n * K * D}, dqkv{device, n * (H + 2 * K) * D};
  OnGpu<float> lse{device, n * H};

  Operands(Device& device, const AttentionCase& shape, uint64_t seed, Sizes sizes = {}) : device(device), c(shape) {
    Random random(seed);
    q.randomize(random, sizes.q), k.randomize(random), qkv.randomize(random, sizes.v), dout.randomize(random, sizes.dout);
    for (int64_t i = 0; i < dqkv.size(); i++)
      if (!is_value(i)) dqkv.set(i, kUntouched);
    upload(q, k, qkv, dout, dqkv);
  }
  bool is_value(int64_t i) const { return i / D % (H + 2 * K) >= H + K; }
  void forward() {
    std::vector<int32_t> starts(c.starts.begin(), c.starts.end());
    attention_forward(device, out.tensor({n, H, D}), lse.tensor({n, H}), q.tensor({n, H, D}), k.tensor({n, K, D}), qkv.tensor({n, H + 2 * K, D}), host_ids(starts.data(), int64_t(starts.size())), float(c.scale), c.window);
    download(out, lse);
  }
  void backward() {
    std::vector<int32_t> starts(c.starts.begin(), c.starts.end());
    attention_backward(device, dq.tensor({n, H, D}), dk.tensor({n, K, D}), dqkv.tensor({n, H + 2 * K, D}), dout.tensor({n, H, D}), out.tensor({n, H, D}), lse.tensor({n, H}), q.tensor({n, H, D}), k.tensor({n, K, D}), qkv.tensor({n, H + 2 * K, D}), host_ids(starts.data(), int64_t(starts.size())), float(c.scale), c.window);
    download(dq, dk, dqkv);
  }
  // Of the tokens [first, last): every result.
  std::vector<double> results(int64_t first, int64_t last) {
    std::vector<double> all;
    auto add = [&](auto& x, int64_t from, int64_t to) { for (int64_t i = from; i < to; i++) all.push_back(x.get(i)); };
    add(out, first * H * D, last * H * D), add(lse, first * H, last * H), add(dq, first * H * D, last * H * D), add(dk, first * K * D, last * K * D);
    for (int64_t t = first; t < last; t++) add(dqkv, (t * (H + 2 * K) + H + K) * D, (t + 1) * (H + 2 * K) * D);
    return all;
  }
};

float round_bf16(float x) { return to_float(to_bf16(x)); }

// Attention as PyTorch evaluates it eagerly in bfloat16: every matrix product, the scaled scores and the probabilities are rounded.
struct Eager {
  std::vector<float> out, lse, dq, dk, dqkv;

  explicit Eager(Operands& x) : out(size_t(x.out.size())), lse(size_t(x.lse.size())), dq(out.size()), dk(size_t(x.dk.size())), dqkv(size_t(x.dqkv.size())) {
    const auto q = x.q.values<float>(), k = x.k.values<float>(), qkv = x.qkv.values<float>(), dout = x.dout.values<float>();
    const auto given_out = x.out.values<float>(), given_lse = x.lse.values<float>();
    const AttentionCase& c = x.c;
    c.for_rows([&](int64_t t, int64_t h, int64_t first) {
      const int64_t row = c.q(t, h), r = t * c.H + h;
      std::vector<float> s;
      for (int64_t u = first; u <= t; u++) s.push_back(round_bf16(float(c.scale) * round_bf16(reference::dot(q, row, k, c.k(u, h), c.D))));
      float peak = s[0], total = 0;
      for (float v : s) peak = std::max(peak, v);
      for (float v : s) total += std::exp(v - peak);
      lse[size_t(r)] = peak + std::log(total);
      // Backward is given the out and lse of the kernel.
      const float delta = reference::dot(dout, row, given_out, row, c.D);
      for (int64_t u = first; u <= t; u++) {
        const float p = round_bf16(std::exp(s[size_t(u - first)] - peak) / total), back_p = round_bf16(std::exp(s[size_t(u - first)] - given_lse[size_t(r)]));
        const float ds = round_bf16(float(c.scale) * round_bf16(back_p * (round_bf16(reference::dot(dout, row, qkv, c.v(u, h), c.D)) - delta)));
        for (int64_t d = 0; d < c.D; d++) {
          out[size_t(row + d)] += p * qkv[size_t(c.v(u, h) + d)];
          dq[size_t(row + d)] += ds * k[size_t(c.k(u, h) + d)];
          dk[size_t(c.k(u, h) + d)] += ds * q[size_t(row + d)];
          dqkv[size_t(c.v(u, h) + d)] += back_p * dout[size_t(row + d)];
        }
      }
    });
    for (auto* v : {&out, &dq, &dk, &dqkv}) *v = rounded(*v);
  }
};

void check_forward(Operands& x, const Eager& eager) {
  std::vector<double> out, lse;
  reference::attention(out, lse, x.q.values(), x.k.values(), x.qkv.values(), x.c);
  check_close("out", x.out, out, max_error(eager.out, out));
  check_close("lse", x.lse, lse, max_error(eager.lse, lse) + 0x1p-22);  // the error of fast_exp2, which total inherits
}

void check_backward(Operands& x, const Eager& eager) {
  std::vector<double> dq(size_t(x.dq.size())), dk(size_t(x.dk.size())), dqkv(size_t(x.dqkv.size()));
  reference::attention_backward(dq, dk, dqkv, x.dout.values(), x.out.values(), x.lse.values(), x.q.values(), x.k.values(), x.qkv.values(), x.c);
  check_close("dq", x.dq, dq, max_error(eager.dq, dq));
  check_close("dk", x.dk, dk, max_error(eager.dk, dk));
  for (int64_t i = 0; i < x.dqkv.size(); i++)
    if (!x.is_value(i)) {
      check(x.dqkv.get(i) == Operands::kUntouched, "dqkv: a query or key head was written");
      x.dqkv.set(i, 0);
    }
  check_close("value heads of dqkv", x.dqkv, dqkv, max_error(eager.dqkv, dqkv));
}

void parity(const AttentionCase& c, Sizes sizes = {}) {
  on_each_gpu([&](Device& device) {
    Operands x(device, c, uint64_t(c.tokens() * 100 + c.D + c.window), sizes);
    x.forward(), x.backward();
    const Eager eager(x);
    check_forward(x, eager), check_backward(x, eager);
  });
}

double largest(const std::vector<double>& v) {
  double most = 0;
  for (double x : v) most = std::max(most, std::abs(x));
  return most;
}

}  // namespace

TEST(attention_on_a_gpu_matches_the_reference_for_every_head_layout) {
  const std::vector<int64_t> lengths{1, 31, 64, 65, 7};
  parity(make_case(lengths, 4, 1, 16, 0));
  parity(make_case(lengths, 6, 2, 24, 8));
  parity(make_case(lengths, 4, 4, 64, 5));
  parity(make_case({40, 33}, 1, 1, 8, 1));
  parity(make_case({3, 9}, 100, 1, 8, 5));
  parity(make_case({70, 13}, 2, 1, 72, 0));
  parity(make_case({33, 34}, 3, 3, 128, 32));
}

TEST(attention_on_a_gpu_matches_the_reference_at_the_models_head_size) {
  for (int64_t window : {0, 20}) parity(make_case({33, 1, 50}, 4, 1, 256, window));
  parity(make_case({40}, 2, 2, 248, 0));
}

TEST(attention_on_a_gpu_matches_the_reference_around_a_window_of_512) {
  for (int64_t window : {0, 512}) parity(make_case({513}, 1, 1, 16, window));
  parity(make_case({512}, 1, 1, 8, 512));
  parity(make_case({1}, 4, 1, 256, 512));
  parity(make_case({31}, 4, 1, 256, 512));
}

TEST(attention_on_a_gpu_at_the_models_head_size_and_513_tokens) { parity(make_case({513}, 1, 1, 256, 512)); }

TEST(attention_on_a_gpu_keeps_its_precision_for_large_and_tiny_numbers) {
  const AttentionCase c = make_case({70, 20}, 2, 1, 16, 30);
  parity(c, {.q = 1e3});
  parity(c, {.v = 1e5});
  parity(c, {.v = 1e-6, .dout = 1e-6});
  parity(c, {.v = 1e5, .dout = 1e-12});
  parity(c, {.q = 1e-6, .dout = 1e5});
  parity(make_case({70}, 2, 1, 256, 0), {.q = 1e3, .v = 1e5, .dout = 1e-6});
  on_each_gpu([&](Device& device) {
    Operands x(device, c, 3, {.q = 1e3});
    x.forward();
    check(largest(x.lse.values()) > 1e3, "the case has no large scores: ", largest(x.lse.values()));
  });
}

// The value of token u is u: with equal scores the output is the mean of the visible positions.
TEST(attention_on_a_gpu_sees_exactly_the_tokens_of_its_window) {
  const int64_t T = 100;
  on_each_gpu([&](Device& device) {
    for (int64_t window : {0, 1, 2, 31, 32, 33, 64, 99, 100, 101}) {
      Operands x(device, make_case({T}, 2, 1, 8, window), 1);
      x.q.fill(0);
      for (int64_t i = 0; i < x.qkv.size(); i++) x.qkv.set(i, double(i / 32));
      upload(x.q, x.qkv);
      x.forward();
      for (int64_t t = 0; t < T; t++) {
        const int64_t first = window ? std::max<int64_t>(0, t - window + 1) : 0;
        check(std::abs(x.out.get(t * 16) - double(first + t) / 2) <= double(first + t) / 2 * 0x1p-8, "window ", window, ", token ", t, ": mean position ", x.out.get(t * 16), ", expected ", double(first + t) / 2);
        check(std::abs(x.lse.get(t * 2) - std::log(double(t - first + 1))) < 1e-5, "window ", window, ", token ", t, ": lse ", x.lse.get(t * 2));
      }
    }
  });
}

// Its neighbours here are so much larger that exponents taken from them would cost the sequence its small numbers.
TEST(attention_on_a_gpu_gives_a_sequence_the_bits_that_it_gets_alone) {
  on_each_gpu([](Device& device) {
    for (int64_t window : {0, 20}) {
      const int64_t before = 37, length = 83;
      Operands packed(device, make_case({before, length, 5}, 4, 1, 24, window), 11), alone(device, make_case({length}, 4, 1, 24, window), 12);
      auto part = [&](OnGpu<bf16>& to, OnGpu<bf16>& from) {
        const int64_t per_token = to.size() / length;
        for (int64_t i = 0; i < from.size(); i++)
          if (i < before * per_token || i >= (before + length) * per_token) from.set(i, from.get(i) * 1024);
        std::memcpy(to.data(), from.data() + before * per_token, size_t(to.size()) * sizeof(bf16));
        upload(to, from);
      };
      part(alone.q, packed.q), part(alone.k, packed.k), part(alone.qkv, packed.qkv), part(alone.dout, packed.dout);
      packed.forward(), packed.backward(), alone.forward(), alone.backward();
      check(packed.results(before, before + length) == alone.results(0, length), "window ", window, ": the bits of a sequence depend on what is packed beside it");
    }
  });
}

TEST(attention_on_a_gpu_keeps_a_nan_from_other_sequences_and_from_keys_that_do_not_see_it) {
  on_each_gpu([](Device& device) {
    Operands x(device, make_case({100, 20}, 1, 1, 8, 30), 3);
    x.k.set(50 * 8, NAN), x.k.upload();
    x.forward();
    for (int64_t t = 0; t < 120; t++) check(std::isnan(x.out.get(t * 8)) == (t >= 50 && t < 80), "token ", t, " is ", x.out.get(t * 8));
    Operands y(device, make_case({33, 20}, 1, 1, 8, 0), 3);
    y.qkv.fill(NAN), y.dout.fill(NAN);
    for (int64_t i = 0; i < y.qkv.size(); i++)
      if (i < 33 * 3 * 8) y.qkv.set(i, 1);
    for (int64_t i = 0; i < 33 * 8; i++) y.dout.set(i, 1);
    upload(y.qkv, y.dout);
    y.forward(), y.backward();
    for (double v : y.results(0, 33)) check(std::isfinite(v), "a sequence got NaN from its neighbour");
    for (int64_t t = 33; t < 53; t++) check(std::isnan(y.out.get(t * 8)), "token ", t, " is ", y.out.get(t * 8));
  });
}

namespace {

// The last token of each sequence as a query against a cache; rows past its length stay NaN.
struct DecodeOperands {
  Device& device;
  const AttentionCase c;
  const std::vector<int64_t> lengths;
  const int64_t L, B = int64_t(lengths.size()), H = c.H, K = c.K, D = c.D;
  OnGpu<bf16> q{device, B * H * D}, keys{device, B * L * K * D}, values{device, B * L * K * D}, out{device, B * H * D};

  DecodeOperands(Operands& x, const std::vector<int64_t>& lengths, int64_t L) : device(x.device), c(x.c), lengths(lengths), L(L) {
    for (int64_t b = 0; b < B; b++) {
      const int64_t start = c.starts[size_t(b)], n = lengths[size_t(b)];
      std::memcpy(q.data() + b * H * D, x.q.data() + (start + n - 1) * H * D, size_t(H * D) * sizeof(bf16));
      std::memcpy(keys.data() + b * L * K * D, x.k.data() + start * K * D, size_t(n * K * D) * sizeof(bf16));
      for (int64_t t = 0; t < n; t++) std::memcpy(values.data() + (b * L + t) * K * D, x.qkv.data() + ((start + t) * (H + 2 * K) + H + K) * D, size_t(K * D) * sizeof(bf16));
    }
    upload(q, keys, values);
  }
  // Of sequences [first, first + count).
  void run(int64_t first, int64_t count) {
    std::vector<int32_t> filled(lengths.begin() + first, lengths.begin() + first + count);
    attention_decode(device, out.tensor({B, H, D}).rows(first, count), q.tensor({B, H, D}).rows(first, count), keys.tensor({B, L, K, D}).rows(first, count), values.tensor({B, L, K, D}).rows(first, count), host_ids(filled.data(), count), float(c.scale), c.window);
    download(out);
  }
};

}  // namespace

TEST(attention_decode_on_a_gpu_matches_the_reference_and_does_not_feel_its_neighbours) {
  on_each_gpu([](Device& device) {
    struct Layout { int64_t H, K, D, window; };
    for (auto [H, K, D, window] : {Layout{4, 1, 256, 64}, {6, 2, 24, 0}, {6, 2, 24, 65}, {5, 1, 72, 1}, {2, 2, 136, 0}}) {
      const std::vector<int64_t> lengths{1, 64, 150, 65, 129, 8};
      const int64_t B = int64_t(lengths.size());
      Operands x(device, make_case(lengths, H, K, D, window), 21);
      x.lse.fill(0), x.out.fill(0);  // what backward is given does not matter here
      const Eager eager(x);
      std::vector<double> out, lse, want;
      reference::attention(out, lse, x.q.values(), x.k.values(), x.qkv.values(), x.c);
      std::vector<float> eager_want;
      for (int64_t b = 0; b < B; b++)
        for (int64_t i = 0; i < H * D; i++) {
          const size_t at = size_t((x.c.starts[size_t(b) + 1] - 1) * H * D + i);
          want.push_back(out[at]), eager_want.push_back(eager.out[at]);
        }
      DecodeOperands together(x, lengths, 160), alone(x, lengths, 160);
      together.run(0, B);
      check_close("out", together.out, want, max_error(eager_want, want));
      for (int64_t b = 0; b < B; b++) alone.run(b, 1);
      check(same_bits(together.out, alone.out), "window ", window, ": the bits of a sequence depend on the batch");
    }
  });
}

TEST(attention_decode_on_a_gpu_reads_a_long_cache) {
  on_each_gpu([](Device& device) {
    for (int64_t window : {0, 512}) {
      const std::vector<int64_t> lengths{513};
      Operands x(device, make_case(lengths, 4, 1, 64, window), 5, {.q = 10, .v = 1e5});
      x.forward();
      DecodeOperands decode(x, lengths, 600);
      decode.run(0, 1);
      // Both are the exact result but for their roundings.
      for (int64_t i = 0; i < 4 * 64; i++) {
        const double forward = x.out.get(512 * 4 * 64 + i), difference = std::abs(decode.out.get(i) - forward);
        check(difference <= 0x1p-7 * std::abs(forward) + 0x1p-9 * 1e5, "window ", window, ", [", i, "]: decode ", decode.out.get(i), ", forward ", forward);
      }
    }
  });
}

TEST(attention_on_a_gpu_gives_the_same_bits_every_time) {
  on_each_gpu([](Device& device) {
    const std::vector<int64_t> lengths{70, 33};
    for (int64_t D : {24, 256}) {
      std::vector<double> first;
      for (uint64_t seed : D == 256 ? std::vector<uint64_t>{1, 2} : std::vector<uint64_t>{1, 2, 7}) {
#if defined(GEMMATUNE_EMULATED)
        const auto before = emulated::options();
        emulated::options().seed = seed;
#endif
        Operands x(device, make_case(lengths, 4, 2, D, 40), 9);
        x.forward(), x.backward();
        DecodeOperands decode(x, lengths, 70);
        decode.run(0, 2);
#if defined(GEMMATUNE_EMULATED)
        emulated::options() = before;
#endif
        auto all = x.results(0, 103);
        for (double v : decode.out.values()) all.push_back(v);
        if (first.empty()) first = all;
        check(all == first, "run ", seed, " gives other bits");
      }
    }
  });
}

#if defined(GEMMATUNE_EMULATED)
TEST(attention_on_a_gpu_reads_shared_memory_without_bank_conflicts) {
  if (on_real_gpu()) return;
  on_each_gpu([](Device& device) {
    for (int64_t D : {64, 128, 256}) {
      const emulated::Counters before = emulated::counters();
      Operands x(device, make_case({40}, 2, 1, D, 0), 1);
      x.forward(), x.backward();
      const emulated::Counters after = emulated::counters();
      check(after.ldmatrix > before.ldmatrix && after.ldmatrix - before.ldmatrix == after.ldmatrix_waves - before.ldmatrix_waves, "D ", D, ": ", after.ldmatrix - before.ldmatrix, " matrices were read in ", after.ldmatrix_waves - before.ldmatrix_waves, " waves");
    }
  });
}
#endif

TEST(attention_on_a_gpu_refuses_what_it_cannot_do) {
  on_each_gpu([](Device& device) {
    std::vector<int32_t> starts{0, 4};
    OnGpu<float> q(device, 4 * 2 * 8), k(device, 4 * 8), qkv(device, 4 * 4 * 8), lse(device, 8);
    check_throws(Code::kArgument, text("attention_forward: q is float32 [4, 2, 8], the ", gt::name_of(device.kind), " backend takes bfloat16"), [&] {
      attention_forward(device, q.tensor({4, 2, 8}), lse.tensor({4, 2}), q.tensor({4, 2, 8}), k.tensor({4, 1, 8}), qkv.tensor({4, 4, 8}), host_ids(starts.data(), 2), 1, 0);
    });
    for (int64_t D : {12, 264}) {
      Operands x(device, make_case({4}, 2, 1, D, 0), 1);
      check_throws(Code::kArgument, text("the head size D is ", D, ", the ", gt::name_of(device.kind), " backend takes multiples of 8 up to 256"), [&] { x.forward(); });
      check_throws(Code::kArgument, "attention_backward: the head size D is", [&] { x.backward(); });
    }
  });
}
