#include "ops/attention/attention.h"
#include "ops/attention/reference.h"
#include "ops/attention/scratch.h"
#include "testing/op_case.h"

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

// Every operand of the op, with random inputs and outputs that start as NaN.
template <class T>
struct Operands {
  AttentionCase c;
  int64_t n = c.tokens(), H = c.H, K = c.K, D = c.D;
  Fenced<T> q{n * H * D}, k{n * K * D}, qkv{n * (H + 2 * K) * D}, out{n * H * D}, dout{n * H * D}, dq{n * H * D}, dk{n * K * D}, dqkv{n * (H + 2 * K) * D};
  Fenced<float> lse{n * H};

  Operands(const AttentionCase& shape, uint64_t seed, double score_scale = 1) : c(shape) {
    Random random(seed);
    q.randomize(random, score_scale), k.randomize(random), qkv.randomize(random), dout.randomize(random);
  }
  void forward(Device& device) {
    std::vector<int32_t> starts(c.starts.begin(), c.starts.end());
    attention_forward(device, out.tensor({n, H, D}), lse.tensor({n, H}), q.tensor({n, H, D}), k.tensor({n, K, D}), qkv.tensor({n, H + 2 * K, D}), Tensor(starts.data(), DType::i32, {int64_t(starts.size())}), float(c.scale), c.window);
  }
  void backward(Device& device) {
    std::vector<int32_t> starts(c.starts.begin(), c.starts.end());
    attention_backward(device, dq.tensor({n, H, D}), dk.tensor({n, K, D}), dqkv.tensor({n, H + 2 * K, D}), dout.tensor({n, H, D}), out.tensor({n, H, D}), lse.tensor({n, H}), q.tensor({n, H, D}), k.tensor({n, K, D}), qkv.tensor({n, H + 2 * K, D}), Tensor(starts.data(), DType::i32, {int64_t(starts.size())}), float(c.scale), c.window);
  }
  // Of the tokens [first, last): the bits of every result, the value heads of dqkv included.
  std::vector<double> results(int64_t first, int64_t last) {
    std::vector<double> all;
    auto add = [&](auto& x, int64_t from, int64_t to) { for (int64_t i = from; i < to; i++) all.push_back(x.get(i)); };
    add(out, first * H * D, last * H * D), add(lse, first * H, last * H), add(dq, first * H * D, last * H * D), add(dk, first * K * D, last * K * D);
    for (int64_t t = first; t < last; t++) add(dqkv, (t * (H + 2 * K) + H + K) * D, (t + 1) * (H + 2 * K) * D);
    return all;
  }
};

// How a kernel for tensors of T may round the softmax's weights and their gradients before it multiplies with them.
template <class T>
struct Rounded {
  float operator()(float x) const { return std::is_same_v<T, bf16> ? to_float(to_bf16(x)) : x; }
};

// Reference gradients in number type U, from the out and lse that the kernel was given.
template <class U>
struct Gradients {
  std::vector<U> dq, dk, dqkv;
  template <class T, class Round = reference::Exact>
  explicit Gradients(Operands<T>& x, const Round& round = {}) : dq(size_t(x.dq.size())), dk(size_t(x.dk.size())), dqkv(size_t(x.dqkv.size())) {
    reference::attention_backward(dq, dk, dqkv, x.dout.template values<U>(), x.out.template values<U>(), x.lse.template values<U>(), x.q.template values<U>(), x.k.template values<U>(), x.qkv.template values<U>(), x.c, round);
  }
};

template <class T>
double largest(Fenced<T>& x) {
  double most = 0;
  for (int64_t i = 0; i < x.size(); i++) most = std::max(most, std::abs(x.get(i)));
  return most;
}

template <class T>
void parity(const AttentionCase& c, int threads, double score_scale = 1) {
  Device device(DeviceKind::cpu, 0, threads);
  Operands<T> x(c, uint64_t(c.tokens() * 100 + c.D + c.window), score_scale);
  std::vector<double> out, lse;
  std::vector<float> out_float, lse_float;
  reference::attention(out, lse, x.q.values(), x.k.values(), x.qkv.values(), c);
  reference::attention(out_float, lse_float, x.q.template values<float>(), x.k.template values<float>(), x.qkv.template values<float>(), c, Rounded<T>{});
  x.forward(device);
  check_close("out", x.out, out, max_error(out_float, out));
  check_close("lse", x.lse, lse, max_error(lse_float, lse));

  constexpr double kUntouched = -7;
  x.dqkv.fill(kUntouched);
  x.backward(device);
  Gradients<double> want(x);
  Gradients<float> in_float(x, Rounded<T>{});
  // Where one key has all the weight, dp - delta is two sums of D products that cancel, to nothing but their rounding. The reference
  // adds both in one order and gets exactly 0; the kernel does not.
  const double cancelled = 0x1p-24 * std::sqrt(double(c.D)) * c.scale * largest(x.dout) * largest(x.qkv);
  check_close("dq", x.dq, want.dq, max_error(in_float.dq, want.dq) + cancelled * largest(x.k));
  check_close("dk", x.dk, want.dk, max_error(in_float.dk, want.dk) + cancelled * largest(x.q));
  for (int64_t i = 0; i < x.dqkv.size(); i++)
    if (i / c.D % (c.H + 2 * c.K) < c.H + c.K) {
      check(x.dqkv.get(i) == kUntouched, "dqkv: a query or key head was written");
      x.dqkv.set(i, 0);
    }
  check_close("value heads of dqkv", x.dqkv, want.dqkv, max_error(in_float.dqkv, want.dqkv));
}

}  // namespace

TEST(matches_the_reference_for_every_head_layout) {
  for (auto [H, K] : {std::pair<int64_t, int64_t>{1, 1}, {3, 3}, {4, 1}, {6, 2}, {7, 1}})
    for (int64_t D : {2, 8, 16, 24})
      for (int64_t window : {0, 1, 8}) {
        const AttentionCase c = make_case({1, 31, 64, 65}, H, K, D, window);
        parity<float>(c, 2);
        parity<bf16>(c, 3);
      }
}

TEST(matches_the_reference_at_the_models_head_size) {
  for (int64_t window : {0, 50}) {
    parity<float>(make_case({100, 1, 33}, 4, 1, 256, window), 2);
    parity<bf16>(make_case({100, 1, 33}, 4, 1, 256, window), 2);
  }
}

TEST(matches_the_reference_around_a_window_of_512) {
  for (int64_t window : {0, 8, 512}) {
    parity<float>(make_case({512, 513, 31}, 4, 1, 8, window), 2);
    parity<bf16>(make_case({520, 1}, 1, 1, 16, window), 2);
  }
}

TEST(matches_the_reference_with_more_heads_in_a_group_than_rows_in_a_block) { parity<float>(make_case({3, 40}, 100, 1, 4, 5), 2); }

TEST(matches_the_reference_for_many_sequences) {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < 300; i++) lengths.push_back(1 + i % 7);
  parity<float>(make_case(lengths, 4, 2, 8, 3), 2);
}

TEST(matches_the_reference_on_long_sequences) {
  parity<float>(make_case({20000, 1}, 2, 1, 2, 64), 3);
  parity<bf16>(make_case({20000}, 1, 1, 2, 20), 2);
  parity<float>(make_case({1, 2500}, 1, 1, 2, 0), 5);
}

namespace {

struct OfOne { static constexpr int64_t kPerUnit = 1; };
struct OfTwo { static constexpr int64_t kPerUnit = 2; };

// What kernels write to each part, one behind the other, in what the door asks for.
template <class Math>
void scratch_holds_its_parts(float* begin, int64_t D) {
  const cpu::Scratch<Math> s(begin, D);
  const int64_t units = (D + Math::kPerUnit - 1) / Math::kPerUnit, stride = cpu::attention_row_stride(D);
  int64_t end = 0;
  const auto holds = [&](const char* part, const float* p, int64_t n) {
    const int64_t at = p - begin;
    check(at >= end && at % 16 == 0, "D = ", D, ": ", part, " begin at ", at, ", before the end of the last part, ", end);
    end = at + n;
  };
  for (const float* p : {s.owned, s.owned2}) holds("owned rows", p, units * cpu::kOwned);
  for (const float* p : {s.sums, s.sums2}) holds("sums", p, cpu::kOwned * stride);
  for (const float* p : {s.scores, s.scores2}) holds("scores", p, cpu::kStreamed * cpu::kOwned);
  for (const cpu::Streamed& b : {s.streamed, s.streamed2}) {
    check(b.stride >= (units + 15) / 16 * 16, "D = ", D, ": a streamed row has ", b.stride, " of ", units, " units");  // written 16 at a time
    holds("streamed rows", b.rows, cpu::kStreamed * b.stride);
    if (Math::kPerUnit > 1) holds("streamed pairs", b.pairs, cpu::kStreamed / Math::kPerUnit * stride);
  }
  check(end <= cpu::attention_scratch(D), "D = ", D, ": scratch has ", cpu::attention_scratch(D), " floats, its parts ", end);
}

}  // namespace

TEST(the_scratch_of_a_task_holds_its_parts) {
  std::vector<float> memory(size_t(cpu::attention_scratch(1024)));
  for (int64_t D = 1; D <= 1024; D++) scratch_holds_its_parts<OfOne>(memory.data(), D), scratch_holds_its_parts<OfTwo>(memory.data(), D);
}

// The value of token u is u: with equal scores the output is the mean of the visible positions.
TEST(window_sees_exactly_its_tokens) {
  const int64_t T = 200;
  Device device(DeviceKind::cpu, 0, 2);
  for (int64_t window : {0, 1, 2, 63, 64, 65, 96, 199, 200, 201}) {
    Operands<float> x(make_case({T}, 2, 1, 2, window), 1);
    x.q.fill(0);
    for (int64_t i = 0; i < x.qkv.size(); i++) x.qkv.set(i, double(i / 8));
    x.forward(device);
    for (int64_t t = 0; t < T; t++) {
      const int64_t first = window ? std::max<int64_t>(0, t - window + 1) : 0;
      check(std::abs(x.out.get(t * 4) - double(first + t) / 2) < 1e-4, "window ", window, ", token ", t, ": mean position ", x.out.get(t * 4), ", expected ", double(first + t) / 2);
      check(std::abs(x.lse.get(t * 2) - std::log(double(t - first + 1))) < 1e-5, "window ", window, ", token ", t, ": lse ", x.lse.get(t * 2));
    }
  }
}

TEST(reference_backward_is_the_derivative_of_forward) {
  using Complex = std::complex<double>;
  const AttentionCase c = make_case({4, 1, 3}, 4, 2, 3, 3);
  Operands<float> x(c, 5);
  auto q = x.q.values<Complex>(), k = x.k.values<Complex>(), qkv = x.qkv.values<Complex>(), dout = x.dout.values<Complex>();
  auto loss = [&] {
    std::vector<Complex> out, lse;
    reference::attention(out, lse, q, k, qkv, c);
    return reference::dot(out, 0, dout, 0, int64_t(out.size()));
  };
  std::vector<double> out, lse, dq(q.size()), dk(k.size()), dqkv(qkv.size());
  reference::attention(out, lse, x.q.values(), x.k.values(), x.qkv.values(), c);
  reference::attention_backward(dq, dk, dqkv, x.dout.values(), out, lse, x.q.values(), x.k.values(), x.qkv.values(), c);
  for (size_t i = 0; i < q.size(); i++) check(std::abs(complex_step(q, i, loss) - dq[i]) < 1e-12, "dq[", i, "]");
  for (size_t i = 0; i < k.size(); i++) check(std::abs(complex_step(k, i, loss) - dk[i]) < 1e-12, "dk[", i, "]");
  for (size_t i = 0; i < qkv.size(); i++) check(std::abs(complex_step(qkv, i, loss) - dqkv[i]) < 1e-12, "dqkv[", i, "]");
}

TEST(gives_the_same_bits_with_any_thread_count) {
  const AttentionCase c = make_case({130, 1, 70, 97}, 4, 2, 24, 40);
  std::vector<double> first;
  for (int threads : {1, 2, 5}) {
    Device device(DeviceKind::cpu, 0, threads);
    Operands<float> x(c, 9);
    x.forward(device), x.backward(device);
    auto all = x.results(0, c.tokens());
    if (first.empty()) first = all;
    check(all == first, "bits differ with ", threads, " threads");
  }
}

TEST(a_sequence_does_not_feel_its_neighbours) {
  Device device(DeviceKind::cpu, 0, 2);
  for (int64_t window : {0, 20}) {
    Operands<float> packed(make_case({37, 113, 5}, 4, 1, 24, window), 11), alone(make_case({113}, 4, 1, 24, window), 12);
    auto cut_out = [&](Fenced<float>& to, Fenced<float>& from) { std::memcpy(to.data(), from.data() + 37 * (from.size() / 155), size_t(to.size()) * 4); };
    cut_out(alone.q, packed.q), cut_out(alone.k, packed.k), cut_out(alone.qkv, packed.qkv), cut_out(alone.dout, packed.dout);
    packed.forward(device), packed.backward(device), alone.forward(device), alone.backward(device);
    check(packed.results(37, 150) == alone.results(0, 113), "bits of a sequence depend on what is packed beside it");
  }
}

TEST(large_scores_stay_finite) {
  Device device(DeviceKind::cpu, 0, 1);
  Operands<float> x(make_case({70}, 2, 1, 16, 0), 3, 1e4);
  x.forward(device), x.backward(device);
  check(largest(x.lse) > 1e4, "the case has no large scores: ", largest(x.lse));
  for (double v : x.results(0, 70)) check(std::isfinite(v), "a result is not finite");
  parity<float>(x.c, 1, 1e4);
}

TEST(a_nan_reaches_the_rows_that_see_it_and_no_other) {
  Device device(DeviceKind::cpu, 0, 1);
  for (double bad : {double(NAN), double(INFINITY), -double(INFINITY)}) {
    Operands<float> x(make_case({100, 20}, 1, 1, 4, 30), 3);
    x.k.set(50 * 4, bad);
    x.forward(device);
    for (int64_t t = 0; t < 120; t++) check(std::isnan(x.out.get(t * 4)) == (t >= 50 && t < 80), "token ", t, " is ", x.out.get(t * 4));
  }
}

template <class T>
void decode_equals_forward(int64_t H, int64_t K, int64_t D, int64_t window, int threads) {
  Device device(DeviceKind::cpu, 0, threads);
  const std::vector<int64_t> lengths{1, 64, 200, 65, 97, 8};
  const int64_t B = int64_t(lengths.size()), L = 210;
  Operands<T> x(make_case(lengths, H, K, D, window), 21);
  x.forward(device);
  Fenced<T> out(B * H * D), q(B * H * D), keys(B * L * K * D), values(B * L * K * D);  // rows past the length stay NaN
  std::vector<int32_t> filled(lengths.begin(), lengths.end());
  for (int64_t b = 0; b < B; b++) {
    const int64_t start = x.c.starts[size_t(b)], n = lengths[size_t(b)];
    std::memcpy(q.data() + b * H * D, x.q.data() + (start + n - 1) * H * D, size_t(H * D) * sizeof(T));
    std::memcpy(keys.data() + b * L * K * D, x.k.data() + start * K * D, size_t(n * K * D) * sizeof(T));
    for (int64_t t = 0; t < n; t++) std::memcpy(values.data() + (b * L + t) * K * D, x.qkv.data() + ((start + t) * (H + 2 * K) + H + K) * D, size_t(K * D) * sizeof(T));
  }
  attention_decode(device, out.tensor({B, H, D}), q.tensor({B, H, D}), keys.tensor({B, L, K, D}), values.tensor({B, L, K, D}), Tensor(filled.data(), DType::i32, {B}), float(x.c.scale), window);
  for (int64_t b = 0; b < B; b++)
    for (int64_t i = 0; i < H * D; i++) {
      const double want = x.out.get((x.c.starts[size_t(b) + 1] - 1) * H * D + i);
      check(out.get(b * H * D + i) == want, "window ", window, ", sequence ", b, "[", i, "]: decode ", out.get(b * H * D + i), ", forward ", want);
    }
  out.check_fences("out");
}

TEST(decode_gives_the_bits_of_forwards_last_row) {
  for (int64_t window : {0, 1, 8, 70, 512})
    for (int threads : {1, 2, 5}) {
      decode_equals_forward<float>(4, 1, 24, window, threads);
      decode_equals_forward<float>(6, 2, 8, window, threads);
      decode_equals_forward<bf16>(100, 1, 2, window, threads);
      decode_equals_forward<bf16>(4, 1, 256, window, threads);
    }
}

TEST(refuses_what_it_cannot_do) {
  Device device(DeviceKind::cpu, 0, 1);
  Fenced<float> q(4 * 2 * 8), k(4 * 8), qkv(4 * 4 * 8), out(4 * 2 * 8), lse(8);
  Fenced<bf16> half(4 * 8);
  auto run = [&](const Tensor& k_tensor, std::vector<int32_t> starts, int64_t window = 0, float scale = 1) {
    attention_forward(device, out.tensor({4, 2, 8}), lse.tensor({4, 2}), q.tensor({4, 2, 8}), k_tensor, qkv.tensor({4, 4, 8}), Tensor(starts.data(), DType::i32, {int64_t(starts.size())}), scale, window);
  };
  const Tensor good = k.tensor({4, 1, 8});
  check_throws(Code::kArgument, "attention_forward: sequence 1 is tokens [2, 2), expected at least one token", [&] { run(good, {0, 2, 2, 4}); });
  check_throws(Code::kArgument, "sequence 1 is tokens [3, 2)", [&] { run(good, {0, 3, 2, 4}); });
  check_throws(Code::kArgument, "starts[0] is 1, expected 0", [&] { run(good, {1, 4}); });
  check_throws(Code::kArgument, "starts ends at 3, expected the 4 tokens of q", [&] { run(good, {0, 3}); });
  check_throws(Code::kShape, "starts is int32 [0], expected [S + 1]", [&] { run(good, {}); });
  check_throws(Code::kArgument, "window is -1", [&] { run(good, {0, 4}, -1); });
  check_throws(Code::kArgument, "scale is inf", [&] { run(good, {0, 4}, 0, INFINITY); });
  check_throws(Code::kArgument, "k is bfloat16 [4, 1, 8], expected float32", [&] { run(half.tensor({4, 1, 8}), {0, 4}); });
  check_throws(Code::kShape, "k is float32 [4, 1, 4], expected shape [4, 1, 8]", [&] { run(k.tensor({4, 1, 4}), {0, 4}); });
  check_throws(Code::kShape, "K dividing the 2 heads of q", [&] { run(k.tensor({1, 4, 8}), {0, 4}); });
  std::vector<int32_t> starts{0, 4};
  const Tensor starts_tensor(starts.data(), DType::i32, {2});
  check_throws(Code::kShape, "attention_backward: dk is float32 [4, 2, 4], expected shape [4, 1, 8]", [&] {
    attention_backward(device, q.tensor({4, 2, 8}), k.tensor({4, 2, 4}), qkv.tensor({4, 4, 8}), out.tensor({4, 2, 8}), out.tensor({4, 2, 8}), lse.tensor({4, 2}), q.tensor({4, 2, 8}), good, qkv.tensor({4, 4, 8}), starts_tensor, 1, 0);
  });
  for (int32_t length : {0, 5}) {
    std::vector<int32_t> lengths{length};
    check_throws(Code::kArgument, text("attention_decode: lengths[0] is ", length, ", expected 1 to 4"), [&] {
      attention_decode(device, out.tensor({1, 2, 8}), q.tensor({1, 2, 8}), k.tensor({1, 4, 1, 8}), k.tensor({1, 4, 1, 8}), Tensor(lengths.data(), DType::i32, {1}), 1, 0);
    });
  }
}
