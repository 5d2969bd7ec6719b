// Ops made of products, bound by arithmetic unless a factor has few rows: linear layers, attention, the head with its loss.
#include <algorithm>
#include <utility>

#include "bench/cases.h"
#include "ops/attention/attention.h"
#include "ops/cross_entropy/cross_entropy.h"
#include "ops/matmul/matmul.h"

namespace gt::bench {
namespace {

struct Layer {
  const char* name;
  int64_t N, K;
};

double flops_of(int64_t T, const Layer& l) { return 2. * double(T) * double(l.N) * double(l.K); }
std::string shape_of(int64_t T, const Layer& l) { return text(l.name, " ", dims({T, l.N, l.K})); }

// Forward and both gradients.
void three_products(Bench& b, int64_t T, const Layer& l, PerStep per_step) {
  Data x = b.values({T, l.K}), weight = b.values({l.N, l.K}), y = b.values({T, l.N}), dx = b.values({T, l.K}), dweight = b.f32({l.N, l.K});
  const double flops = flops_of(T, l);
  const std::string shape = shape_of(T, l);
  b.run("matmul_forward", shape, moved({x, weight, y}), flops, per_step, [&] { matmul_forward(b.device, y, x, weight); });
  b.run("matmul_backward_input", shape, moved({dx, weight, y}), flops, per_step, [&] { matmul_backward_input(b.device, dx, y, weight); });
  b.run("matmul_backward_weight", shape, moved({x, y, dweight, dweight}), flops, per_step, [&] { matmul_backward_weight(b.device, dweight, y, x); });
}

}  // namespace

void matmul(Bench& b) {
  const Shapes& s = b.shapes;
  const Layer layers[] = {{"qkv", (s.H + 2 * s.K) * s.D, s.C}, {"o", s.C, s.H * s.D}, {"gate_up", 2 * s.I, s.C}, {"down", s.C, s.I}}, head = {"head", s.V, s.C};
  for (const Layer& layer : layers) three_products(b, s.T(), layer, {s.layers, s.layers});
  if (s.few_tokens != s.T())
    for (const Layer& layer : layers) three_products(b, s.few_tokens, layer, {0, 0});
  if (b.device.on_host()) three_products(b, s.chunk, head, {0, 0});  // parts of linear_cross_entropy, which on GPUs has products of its own
  // Generation: one token of each sequence.
  for (const int64_t B : {int64_t(1), s.B / 4, s.B}) {
    for (const Layer& layer : layers) {
      Data x = b.values({B, layer.K}), weight = b.values({layer.N, layer.K}), y = b.values({B, layer.N});
      b.run("matmul_forward", shape_of(B, layer), moved({x, weight, y}), flops_of(B, layer), {0, 0}, [&] { matmul_forward(b.device, y, x, weight); });
    }
    Data x = b.values({B, head.K}), weight = b.values({head.N, head.K}), y = b.f32({B, head.N});
    b.run("matmul_forward", shape_of(B, head), moved({x, weight, y}), flops_of(B, head), {0, 0}, [&] { matmul_forward(b.device, y, x, weight); });
  }
}

void attention(Bench& b) {
  const Shapes& s = b.shapes;
  const int64_t T = s.T(), full = (s.layers + 5) / 6;
  const std::vector<int32_t> starts = even_starts(s);
  const float scale = 0.0625f;
  Data q = b.values({T, s.H, s.D}), k = b.values({T, s.K, s.D}), qkv = b.values({T, s.H + 2 * s.K, s.D}), out = b.values({T, s.H, s.D}), lse = b.f32({T, s.H});
  Data dout = b.values({T, s.H, s.D}), dq = b.values({T, s.H, s.D}), dk = b.values({T, s.K, s.D}), dqkv = b.values({T, s.H + 2 * s.K, s.D});
  for (const int64_t window : {s.window, int64_t(0)}) {
    double pairs = 0;
    for (int64_t t = 0; t < s.length; t++) pairs += double(s.sequences) * double(window ? std::min(t + 1, window) : t + 1);
    const double product = 2. * pairs * double(s.H) * double(s.D);
    const int64_t layers = window ? s.layers - full : full;
    const std::string shape = text(dims({s.sequences, s.length, s.H, s.D}), window ? text(" window ", window) : "");
    b.run("attention_forward", shape, moved({q, k, k, out, lse}), 2 * product, {layers, layers}, [&] { attention_forward(b.device, out, lse, q, k, qkv, host(starts), scale, window); });
    b.run("attention_backward", shape, moved({q, k, k, out, dout, lse, dq, dk, dk}), 5 * product, {layers, layers},
          [&] { attention_backward(b.device, dq, dk, dqkv, dout, out, lse, q, k, qkv, host(starts), scale, window); });
  }
  const std::vector<int32_t> lengths(size_t(s.B), int32_t(s.cached));
  Data keys = b.values({s.B, s.cached, s.K, s.D}), values = b.values({s.B, s.cached, s.K, s.D}), one = b.values({s.B, s.H, s.D}), y = b.values({s.B, s.H, s.D});
  b.run("attention_decode", dims({s.B, s.cached, s.H, s.D}), moved({keys, values, one, y}), 4. * double(s.B * s.cached * s.H * s.D), {0, 0},
        [&] { attention_decode(b.device, y, one, keys, values, host(lengths), scale, 0); });
}

void cross_entropy(Bench& b) {
  const Shapes& s = b.shapes;
  const int64_t completion = s.sequences * s.supervised, all = s.sequences * (s.length - 1);
  Data weight = b.values({s.V, s.C}), dweight = b.f32({s.V, s.C});
  for (const auto& [R, per_step] : {std::pair<int64_t, PerStep>{completion, {1, 0}}, {s.chunk, {0, all / s.chunk}}}) {
    const std::vector<int32_t> targets = ids(R, s.V);
    Data logits = b.values({R, s.V}), x = b.values({R, s.C}), dx = b.values({R, s.C}), loss = b.f32({R}), entropy = b.f32({R}), correct = b.zeros(DType::i32, {R});
    b.run("cross_entropy_forward", dims({R, s.V}), moved({logits, loss, entropy, correct}), 0, {0, 0},
          [&] { cross_entropy_forward(b.device, loss, entropy, correct, logits, host(targets)); });
    // Logits are written once and read by the statistics and by both products.
    b.run("linear_cross_entropy", dims({R, s.V, s.C}), moved({weight, weight, dweight, dweight, logits, logits, logits, logits, x, x, dx, loss, entropy, correct}), 6. * double(R) * double(s.V) * double(s.C), per_step,
          [&] { linear_cross_entropy(b.device, loss, entropy, correct, dx, dweight, logits, x, weight, host(targets)); });
    // On the first of two ranks that cut the vocabulary; nothing travels.
    const int64_t V = s.V / 2;
    Data statistics = b.f32({2, R, kSliceStatistics}), merged = b.f32({R, 4});
    const Tensor half = weight.tensor.rows(0, V), dhalf = dweight.tensor.rows(0, V), half_logits(logits.tensor.data, logits.tensor.dtype, {R, V});
    b.run("linear_cross_entropy_of_slice", dims({R, V, s.C}), moved({half, half, dhalf, dhalf, half_logits, half_logits, half_logits, half_logits, x, x, dx, statistics, statistics, merged, loss, entropy, correct}),
          6. * double(R) * double(V) * double(s.C), {0, 0},
          [&] { linear_cross_entropy_of_slice(b.device, loss, entropy, correct, dx, dhalf, half_logits, x, half, host(targets), {0, 0, 2, statistics, merged, [] {}}); });
  }
}

}  // namespace gt::bench
