// gpu_bench [--device cuda|emulated] [--level sm75|sm80] [filter ...]: every op's time on a device at the shapes of a training step of
// the 270M model (8,192 tokens, 16 sequences) and of generation, one JSON line each; a filter keeps the ops whose name starts with it.
// On the emulator shapes are tiny and times mean nothing: it shows that all of this runs.
//
// gpu_plan (the same file with GEMMATUNE_DRY_RUN) [--as T4|A100|A10|L4|H200] runs nothing: it prints what each call would launch.
//
// bytes: every operand once, twice where it is read and written, so the least that can move. flops: products on tensor cores, those
// that the mathematics needs. calls: how often a training step does this with loss on the completions (60 tokens a sequence) and on
// all tokens, when activations are kept.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "core/arena.h"
#include "ops/adamw/adamw.h"
#include "ops/attention/attention.h"
#include "ops/cross_entropy/cross_entropy.h"
#include "ops/embedding/embedding.h"
#include "ops/gather/gather.h"
#include "ops/geglu/geglu.h"
#include "ops/global_norm/global_norm.h"
#include "ops/kv_cache/kv_cache.h"
#include "ops/matmul/matmul.h"
#include "ops/qk_norm_rope/qk_norm_rope.h"
#include "ops/rmsnorm/rmsnorm.h"
#include "ops/sampling/sampling.h"
#include "testing/check.h"
#include "training/trainer.h"
#if defined(GEMMATUNE_DRY_RUN)
#include "gpu/dry_run.h"
#endif

using namespace gt;

namespace {

struct Shapes {
  int64_t sequences, length, supervised;  // supervised tokens of a sequence
  int64_t C, H, K, D, I, V, layers, window;
  int64_t matrices, norms;                // parameters
  int64_t B, cached;                      // generation: sequences at once, tokens in the cache of each
  int64_t chunk;                          // rows whose logits are held at once
  int64_t few_tokens;                     // of a small batch: two rows of the tutorial's data
  int64_t T() const { return sequences * length; }
};
constexpr Shapes k270M{16, 512, 60, 640, 4, 1, 256, 2048, 262144, 18, 512, 268042240, 55936, 64, 512, 2044, 600};
constexpr Shapes kTiny{2, 20, 3, 64, 2, 1, 32, 96, 384, 2, 16, 4096, 200, 8, 24, 19, 12};

struct Calls {
  int64_t completion, full;
};

constexpr float kEps = 1e-6f;

// A tensor on the device with numbers from -scale to scale (ints: zero).
struct Data {
  Buffer memory;
  Tensor tensor;
  Data(Device& device, DType dtype, std::initializer_list<int64_t> shape, float scale = 1) : tensor(nullptr, dtype, shape) {
    memory = Buffer(device, tensor.bytes());
    tensor.data = memory.data();
    if (dtype != DType::f32 && dtype != DType::bf16) return;
    testing::Random random(1);
    std::vector<char> block(size_t(std::min<int64_t>(tensor.bytes(), 1 << 22)));
    for (size_t i = 0; i < block.size() / size_t(size_of(dtype)); i++) {
      const float v = scale * float(2 * random.uniform() - 1);
      const bf16 narrow = to_bf16(v);
      if (dtype == DType::f32) std::memcpy(&block[4 * i], &v, 4);
      else std::memcpy(&block[2 * i], &narrow, 2);
    }
    for (int64_t at = 0; at < tensor.bytes(); at += int64_t(block.size()))
      device.copy_from_host(memory.data() + at, block.data(), size_t(std::min<int64_t>(int64_t(block.size()), tensor.bytes() - at)));
  }
  operator const Tensor&() const { return tensor; }
};

double moved(std::initializer_list<Tensor> operands) {
  double bytes = 0;
  for (const Tensor& t : operands) bytes += double(t.bytes());
  return bytes;
}

class Bench {
 public:
  Device& device;
  const Shapes shapes;
  const bool timed;  // else once
  bool failed = false;
  const char* folder = "";  // of native/ops

  const char* level() const { return device.gpu().level == gpu::Level::sm75 ? "sm75" : "sm80"; }

  Data f32(std::initializer_list<int64_t> shape) { return Data(device, DType::f32, shape); }
  Data bf(std::initializer_list<int64_t> shape) { return Data(device, DType::bf16, shape); }
  Data zeros(DType dtype, std::initializer_list<int64_t> shape) { return Data(device, dtype, shape); }

  // shape: text for people, and the key of the budget
  void run(const char* op, const std::string& shape, double bytes, double flops, Calls calls, const std::function<void()>& body) {
#if defined(GEMMATUNE_DRY_RUN)
    gpu::take_launches();
    body();
    std::string result = "\"launches\":[";
    for (const gpu::Launch& l : gpu::take_launches())
      result += text(result.back() == '[' ? "" : ",", "{\"kernel\":\"", l.kernel, "\",\"grid\":[", l.grid[0], ",", l.grid[1], ",", l.grid[2], "],\"threads\":", l.threads, ",\"shared\":", l.shared_bytes, "}");
    result += "]";
#else
    const double s = median_seconds(body);
    const std::string result = text("\"ms\":", s * 1e3, ",\"gb_s\":", bytes / s * 1e-9, ",\"tflops\":", flops / s * 1e-12);
#endif
    std::printf("{\"level\":\"%s\",\"folder\":\"%s\",\"op\":\"%s\",\"shape\":\"%s\",\"bytes\":%.0f,\"flops\":%.0f,\"completion\":%lld,\"full\":%lld,%s}\n", level(), folder, op, shape.c_str(), bytes, flops, (long long)calls.completion, (long long)calls.full, result.c_str());
    std::fflush(stdout);
  }

 private:
  double seconds(int calls, const std::function<void()>& body) {
    device.synchronize();
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; i++) body();
    device.synchronize();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / calls;
  }

  // Of one call among enough for 10 ms, so that starting and waiting does not count: median of 11, after a warm-up.
  double median_seconds(const std::function<void()>& body) {
    double once = seconds(1, body);
    if (!timed) return once;
    once = seconds(3, body);
    const int calls = int(std::clamp(0.01 / std::max(once, 1e-6), 1., 1000.));
    std::vector<double> times;
    for (int i = 0; i < 11; i++) times.push_back(seconds(calls, body));
    std::nth_element(times.begin(), times.begin() + 5, times.end());
    return times[5];
  }
};

std::string dims(std::initializer_list<int64_t> sizes) {
  std::string s;
  for (int64_t n : sizes) s = text(s, s.empty() ? "" : "x", n);
  return s;
}

// Distinct-looking ids below `limit`, the same every time.
std::vector<int32_t> ids(int64_t n, int64_t limit) {
  testing::Random random(2);
  std::vector<int32_t> v(static_cast<size_t>(n));
  for (int32_t& id : v) id = int32_t(random.below(limit));
  return v;
}

// Supervised rows: the last `count` tokens of each sequence that predict one.
std::vector<int32_t> supervised(const Shapes& s, int64_t count) {
  std::vector<int32_t> rows;
  for (int64_t i = 0; i < s.sequences; i++)
    for (int64_t t = s.length - 1 - count; t < s.length - 1; t++) rows.push_back(int32_t(i * s.length + t));
  return rows;
}

std::vector<int32_t> even_starts(const Shapes& s) {
  std::vector<int32_t> starts;
  for (int64_t i = 0; i <= s.sequences; i++) starts.push_back(int32_t(i * s.length));
  return starts;
}

Tensor host(const std::vector<int32_t>& v) { return host_ids(v.data(), int64_t(v.size())); }

// ---- the ops, in the order of a step

void embedding(Bench& b) {
  const Shapes& s = b.shapes;
  const int64_t T = s.T();
  const std::vector<int32_t> tokens = ids(T, s.V);
  std::vector<int32_t> distinct = tokens;
  std::sort(distinct.begin(), distinct.end());
  const int64_t rows = std::unique(distinct.begin(), distinct.end()) - distinct.begin();
  Data x = b.f32({T, s.C}), table = b.bf({s.V, s.C}), dtable = b.f32({s.V, s.C});
  b.run("embedding_forward", dims({T, s.C}), 1.5 * moved({x}), 0, {1, 1}, [&] { embedding_forward(b.device, x, table, host(tokens), 25.25f); });
  b.run("embedding_backward", dims({T, s.C}), moved({x}) + 8. * double(rows * s.C), 0, {1, 1}, [&] { embedding_backward(b.device, dtable, x, host(tokens), 25.25f); });
}

void rmsnorm(Bench& b) {
  const Shapes& s = b.shapes;
  const int64_t T = s.T(), L = s.layers;
  Data x = b.f32({T, s.C}), out = b.f32({T, s.C}), branch = b.bf({T, s.C}), normed = b.bf({T, s.C}), rstd = b.f32({T}), next_rstd = b.f32({T});
  Data weight = b.bf({s.C}), next_weight = b.bf({s.C}), dweight = b.f32({s.C}), dnext_weight = b.f32({s.C});
  const std::string shape = dims({T, s.C});
  b.run("rmsnorm_forward", shape, moved({normed, rstd, x, weight}), 0, {1, 1}, [&] { rmsnorm_forward(b.device, normed, rstd, x, weight, kEps); });
  b.run("rmsnorm_residual_rmsnorm_forward", shape, moved({out, normed, rstd, next_rstd, x, branch, weight, next_weight}), 0, {2 * L - 1, 2 * L - 1},
        [&] { rmsnorm_residual_rmsnorm_forward(b.device, out, normed, rstd, next_rstd, x, branch, weight, next_weight, kEps); });
  b.run("rmsnorm_residual_forward", shape, moved({out, rstd, x, branch, weight}), 0, {1, 1}, [&] { rmsnorm_residual_forward(b.device, out, rstd, x, branch, weight, kEps); });
  b.run("rmsnorm_backward (of a branch)", shape, moved({normed, dweight, dweight, x, branch, weight, rstd}), 0, {1, 1},
        [&] { rmsnorm_backward(b.device, normed, false, dweight, x, branch, weight, rstd); });
  b.run("rmsnorm_residual_rmsnorm_backward", shape, moved({branch, out, out, dweight, dweight, dnext_weight, dnext_weight, normed, branch, rstd, x, next_rstd}), 0, {2 * L - 1, 2 * L - 1},
        [&] { rmsnorm_residual_rmsnorm_backward(b.device, normed, out, dweight, dnext_weight, normed, branch, weight, rstd, x, next_weight, next_rstd); });
  b.run("rmsnorm_backward (+=)", shape, moved({out, out, dweight, dweight, branch, x, weight, rstd}), 0, {1, 1},
        [&] { rmsnorm_backward(b.device, out, true, dweight, branch, x, weight, rstd); });
  for (const bool completion : {true, false}) {
    const int64_t R = s.sequences * (completion ? s.supervised : s.length - 1);
    const Tensor few = x.tensor.rows(0, R), dfew = out.tensor.rows(0, R), y = normed.tensor.rows(0, R), r = rstd.tensor.rows(0, R);
    const Calls once{completion ? 1 : 0, completion ? 0 : 1};
    b.run("rmsnorm_forward (head)", dims({R, s.C}), moved({y, r, few, weight}), 0, once, [&] { rmsnorm_forward(b.device, y, r, few, weight, kEps); });
    b.run("rmsnorm_backward (head)", dims({R, s.C}), moved({dfew, dweight, dweight, y, few, weight, r}), 0, once,
          [&] { rmsnorm_backward(b.device, dfew, false, dweight, y, few, weight, r); });
  }
}

void matmul(Bench& b) {
  const Shapes& s = b.shapes;
  const int64_t L = s.layers;
  struct Layer { const char* name; int64_t N, K; };
  const Layer layers[] = {{"qkv", (s.H + 2 * s.K) * s.D, s.C}, {"o", s.C, s.H * s.D}, {"gate_up", 2 * s.I, s.C}, {"down", s.C, s.I}};
  for (const auto& [T, calls] : {std::pair<int64_t, Calls>{s.T(), {L, L}}, {s.few_tokens, {0, 0}}})
    for (const auto& [name, N, K] : layers) {
      Data x = b.bf({T, K}), weight = b.bf({N, K}), y = b.bf({T, N}), dx = b.bf({T, K}), dweight = b.f32({N, K});
      const double flops = 2. * double(T) * double(N) * double(K);
      const std::string shape = text(name, " ", dims({T, N, K}));
      b.run("matmul_forward", shape, moved({x, weight, y}), flops, calls, [&] { matmul_forward(b.device, y, x, weight); });
      b.run("matmul_backward_input", shape, moved({dx, weight, y}), flops, calls, [&] { matmul_backward_input(b.device, dx, y, weight); });
      b.run("matmul_backward_weight", shape, moved({x, y, dweight, dweight}), flops, calls, [&] { matmul_backward_weight(b.device, dweight, y, x); });
    }
  // Generation: one token of each sequence.
  for (const int64_t B : {int64_t(1), s.B / 4, s.B}) {
    for (const auto& [name, N, K] : layers) {
      Data x = b.bf({B, K}), weight = b.bf({N, K}), y = b.bf({B, N});
      b.run("matmul_forward", text(name, " ", dims({B, N, K})), moved({x, weight, y}), 2. * double(B) * double(N) * double(K), {0, 0}, [&] { matmul_forward(b.device, y, x, weight); });
    }
    Data x = b.bf({B, s.C}), weight = b.bf({s.V, s.C}), y = b.f32({B, s.V});
    b.run("matmul_forward", text("head ", dims({B, s.V, s.C})), moved({x, weight, y}), 2. * double(B) * double(s.V) * double(s.C), {0, 0}, [&] { matmul_forward(b.device, y, x, weight); });
  }
}

void qk_norm_rope(Bench& b) {
  const Shapes& s = b.shapes;
  const int64_t T = s.T();
  Data q = b.bf({T, s.H, s.D}), k = b.bf({T, s.K, s.D}), rstd = b.f32({T, s.H + s.K}), qkv = b.bf({T, s.H + 2 * s.K, s.D}), dqkv = b.bf({T, s.H + 2 * s.K, s.D});
  Data q_weight = b.bf({s.D}), k_weight = b.bf({s.D}), dq_weight = b.f32({s.D}), dk_weight = b.f32({s.D});
  Data cos = b.f32({s.length, s.D / 2}), sin = b.f32({s.length, s.D / 2}), positions = b.zeros(DType::i32, {T});
  b.run("qk_norm_rope_forward", dims({T, s.H + s.K, s.D}), moved({q, k, q, k, rstd, cos, sin, positions}), 0, {s.layers, s.layers},
        [&] { qk_norm_rope_forward(b.device, q, k, rstd, qkv, q_weight, k_weight, cos, sin, positions, kEps); });
  b.run("qk_norm_rope_backward", dims({T, s.H + s.K, s.D}), moved({q, k, q, k, q, k, rstd, cos, sin, positions}), 0, {s.layers, s.layers},
        [&] { qk_norm_rope_backward(b.device, dqkv, dq_weight, dk_weight, q, k, qkv, q_weight, k_weight, rstd, cos, sin, positions); });
}

void attention(Bench& b) {
  const Shapes& s = b.shapes;
  const int64_t T = s.T(), full = (s.layers + 5) / 6;
  const std::vector<int32_t> starts = even_starts(s);
  const float scale = 0.0625f;
  Data q = b.bf({T, s.H, s.D}), k = b.bf({T, s.K, s.D}), qkv = b.bf({T, s.H + 2 * s.K, s.D}), out = b.bf({T, s.H, s.D}), lse = b.f32({T, s.H});
  Data dout = b.bf({T, s.H, s.D}), dq = b.bf({T, s.H, s.D}), dk = b.bf({T, s.K, s.D}), dqkv = b.bf({T, s.H + 2 * s.K, s.D});
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
  Data keys = b.bf({s.B, s.cached, s.K, s.D}), values = b.bf({s.B, s.cached, s.K, s.D}), one = b.bf({s.B, s.H, s.D}), y = b.bf({s.B, s.H, s.D});
  b.run("attention_decode", dims({s.B, s.cached, s.H, s.D}), moved({keys, values, one, y}), 4. * double(s.B * s.cached * s.H * s.D), {0, 0},
        [&] { attention_decode(b.device, y, one, keys, values, host(lengths), scale, 0); });
}

void geglu(Bench& b) {
  const Shapes& s = b.shapes;
  const int64_t T = s.T();
  Data h = b.bf({T, s.I}), gate_up = b.bf({T, 2 * s.I}), dgate_up = b.bf({T, 2 * s.I});
  b.run("geglu_forward", dims({T, s.I}), moved({h, gate_up}), 0, {s.layers, s.layers}, [&] { geglu_forward(b.device, h, gate_up); });
  b.run("geglu_backward", dims({T, s.I}), moved({dgate_up, h, gate_up}), 0, {s.layers, s.layers}, [&] { geglu_backward(b.device, dgate_up, h, gate_up); });
}

void gather(Bench& b) {
  const Shapes& s = b.shapes;
  for (const bool completion : {true, false}) {
    const std::vector<int32_t> rows = supervised(s, completion ? s.supervised : s.length - 1);
    const int64_t T = s.T(), R = int64_t(rows.size());
    const Calls once{completion ? 1 : 0, completion ? 0 : 1};
    Data x = b.f32({T, s.C}), y = b.f32({R, s.C});
    b.run("gather_rows", dims({R, s.C}), moved({y, y}), 0, once, [&] { gather_rows(b.device, y, x, host(rows)); });
    b.run("scatter_rows", dims({T, R, s.C}), moved({x, y, y}), 0, once, [&] { scatter_rows(b.device, x, y, host(rows)); });
  }
}

void cross_entropy(Bench& b) {
  const Shapes& s = b.shapes;
  const int64_t completion = s.sequences * s.supervised, all = s.sequences * (s.length - 1);
  Data weight = b.bf({s.V, s.C}), dweight = b.f32({s.V, s.C});
  for (const auto& [R, calls] : {std::pair<int64_t, Calls>{completion, {1, 0}}, {s.chunk, {0, all / s.chunk}}}) {
    const std::vector<int32_t> targets = ids(R, s.V);
    Data logits = b.bf({R, s.V}), x = b.bf({R, s.C}), dx = b.bf({R, s.C}), loss = b.f32({R}), entropy = b.f32({R}), correct = b.zeros(DType::i32, {R});
    b.run("cross_entropy_forward", dims({R, s.V}), moved({logits, loss, entropy, correct}), 0, {0, 0},
          [&] { cross_entropy_forward(b.device, loss, entropy, correct, logits, host(targets)); });
    // Logits are written once and read by the statistics and by both products.
    b.run("linear_cross_entropy", dims({R, s.V, s.C}), moved({weight, weight, dweight, dweight, logits, logits, logits, logits, x, x, dx, loss, entropy, correct}), 6. * double(R) * double(s.V) * double(s.C), calls,
          [&] { linear_cross_entropy(b.device, loss, entropy, correct, dx, dweight, logits, x, weight, host(targets)); });
  }
}

void kv_cache(Bench& b) {
  const Shapes& s = b.shapes;
  std::vector<int32_t> rows;
  for (int64_t i = 0; i < s.B; i++) rows.push_back(int32_t(i * s.cached + s.cached - 1));
  Data keys = b.bf({s.B * s.cached, s.K, s.D}), values = b.bf({s.B * s.cached, s.K, s.D}), k = b.bf({s.B, s.K, s.D}), qkv = b.bf({s.B, s.H + 2 * s.K, s.D});
  b.run("kv_cache_store", dims({s.B, s.K, s.D}), moved({k, k, k, k}), 0, {0, 0}, [&] { kv_cache_store(b.device, keys, values, k, qkv, host(rows)); });
}

void global_norm(Bench& b) {
  const int64_t N = b.shapes.matrices + b.shapes.norms;
  Data x = b.f32({N}), norm = b.zeros(DType::f64, {1});
  b.run("global_norm", dims({N}), moved({x}), 0, {1, 1}, [&] { global_norm(b.device, norm, x); });
}

void adamw(Bench& b) {
  AdamW options;
  options.learning_rate = 1e-5, options.divisor = 960, options.max_grad_norm = 1;
  Data norm = b.zeros(DType::f64, {1});
  for (const int64_t N : {b.shapes.matrices, b.shapes.norms}) {
    Data param = b.bf({N}), remainder = b.zeros(DType::i16, {N}), grad = b.f32({N}), m = b.f32({N}), v(b.device, DType::f32, {N}, 0);
    b.run("adamw_update", dims({N}), moved({param, param, remainder, remainder, grad, grad, m, m, v, v}), 0, {1, 1},
          [&] { adamw_update(b.device, param, remainder, grad, m, v, norm, options); });
  }
}

void sampling(Bench& b) {
  const Shapes& s = b.shapes;
  std::vector<int32_t> next(size_t(s.B), 0);
  std::vector<int64_t> keys(size_t(s.B), 3), steps(size_t(s.B), 5);
  Data logits = b.f32({s.B, s.V});
  Sampling sampled;
  sampled.temperature = 1, sampled.top_k = 64, sampled.top_p = 0.95, sampled.seed = 1;
  for (const auto& [name, options] : {std::pair<const char*, Sampling>{"next_tokens (greedy)", {}}, {"next_tokens (top-k 64, top-p 0.95)", sampled}})
    b.run(name, dims({s.B, s.V}), moved({logits}), 0, {0, 0}, [&] { next_tokens(b.device, host(next), logits, options, keys.data(), steps.data()); });
  const int64_t few = std::min<int64_t>(s.B, 16);
  next.resize(size_t(few));
  Data x = b.bf({few, s.C}), weight = b.bf({s.V, s.C});
  b.run("greedy_tokens", dims({few, s.V, s.C}), moved({x, weight}), 2. * double(few * s.V * s.C), {0, 0}, [&] { greedy_tokens(b.device, host(next), x, weight, logits.tensor.rows(0, few)); });
}

// The whole of it: forward, backward and update, with loss on the completions and on all tokens.
void step(Bench& b) {
  const Shapes& s = b.shapes;
  Config config;
  config.vocab_size = s.V, config.hidden_size = s.C, config.num_layers = s.layers, config.num_heads = s.H, config.num_kv_heads = s.K, config.head_dim = s.D;
  config.intermediate_size = s.I, config.sliding_window = s.window, config.query_pre_attn_scalar = double(s.D);
  for (int64_t l = 0; l < s.layers; l++) config.full_attention.push_back((l + 1) % 6 == 0);
  Gemma model(config, DType::bf16, b.device, true);
  {
    Data random(b.device, DType::bf16, {std::min<int64_t>(model.table().total(), 1 << 22)}, 0.03f);  // as trained weights are, or so
    for (int64_t at = 0; at < model.table().total(); at += random.tensor.count())
      b.device.copy_within(static_cast<char*>(model.weights().data) + 2 * at, random.memory.data(), size_t(2 * std::min(random.tensor.count(), model.table().total() - at)));
  }
  Trainer trainer(model, Keep::all);
  const std::vector<int32_t> tokens = ids(s.T(), s.V), starts = even_starts(s);
  AdamW options;
  options.learning_rate = 1e-5, options.max_grad_norm = 1;
  for (const bool completion : {true, false}) {
    std::vector<int32_t> targets(tokens.size(), -100);
    const std::vector<int32_t> rows = supervised(s, completion ? s.supervised : s.length - 1);
    for (int32_t t : rows) targets[size_t(t)] = tokens[size_t(t) + 1];
    options.divisor = double(rows.size());
    const Batch batch{tokens.data(), s.T(), starts.data(), s.sequences, targets.data()};
    b.run("training_step", text(completion ? "completion " : "full ", dims({s.sequences, s.length})), 0, 0, {0, 0}, [&] {
      trainer.accumulate(batch);
      trainer.update(options);
    });
  }
}

struct Op {
  const char* name;
  void (*body)(Bench&);
};
constexpr Op kOps[] = {{"embedding", embedding}, {"rmsnorm", rmsnorm}, {"matmul", matmul}, {"qk_norm_rope", qk_norm_rope}, {"attention", attention}, {"geglu", geglu},
                       {"gather", gather}, {"cross_entropy", cross_entropy}, {"kv_cache", kv_cache}, {"global_norm", global_norm}, {"adamw", adamw}, {"sampling", sampling}, {"step", step}};

#if defined(GEMMATUNE_DRY_RUN)
struct Card {
  const char* name;
  int capability, multiprocessors;
  int64_t memory;  // GB that programs get
};
constexpr Card kCards[] = {{"T4", 75, 40, 15}, {"A100", 80, 108, 40}, {"A10", 86, 72, 23}, {"L4", 89, 58, 22}, {"H200", 90, 132, 140}};
#endif

}  // namespace

int main(int argc, char** argv) {
  DeviceKind kind = DeviceKind::cuda;
  gpu::Level level = gpu::Level::sm80;
  std::vector<std::string> filters;
  for (int i = 1; i < argc; i++) {
    const std::string option = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    if (option == "--device" && (value == "cuda" || value == "emulated")) kind = value == "cuda" ? DeviceKind::cuda : DeviceKind::emulated, i++;
    else if (option == "--level" && (value == "sm75" || value == "sm80")) level = value == "sm75" ? gpu::Level::sm75 : gpu::Level::sm80, i++;
#if defined(GEMMATUNE_DRY_RUN)
    else if (const Card* card = std::find_if(std::begin(kCards), std::end(kCards), [&](const Card& c) { return c.name == value; }); option == "--as" && card != std::end(kCards))
      gpu::dry_run_device(card->name, card->capability, card->multiprocessors, card->memory * 1000000000), i++;
#endif
    else if (option.rfind("--", 0) != 0) filters.push_back(option);
    else return std::fprintf(stderr, "gpu_bench: what is %s %s?\n", option.c_str(), value.c_str()), 2;
  }
  try {
    Device device(kind, 0, 0, level);
    const gpu::Description& d = device.gpu().description;
    Bench bench{device, kind == DeviceKind::cuda ? k270M : kTiny, kind == DeviceKind::cuda};
    std::printf("{\"device\":\"%s\",\"capability\":%d,\"multiprocessors\":%d,\"memory\":%lld,\"driver\":%d,\"runtime\":%d,\"level\":\"%s\"}\n", d.name.c_str(), d.capability, d.multiprocessors, (long long)d.memory, d.driver, d.runtime,
                bench.level());
    for (const Op& op : kOps) {
      if (!filters.empty() && std::none_of(filters.begin(), filters.end(), [&](const std::string& f) { return std::string(op.name).rfind(f, 0) == 0; })) continue;
      try {
        bench.folder = op.name;
        op.body(bench);
      } catch (const std::exception& e) {
        std::fprintf(stderr, "gpu_bench: %s: %s\n", op.name, e.what());
        bench.failed = true;
      }
    }
    return bench.failed ? 1 : 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "gpu_bench: %s\n", e.what());
    return 1;
  }
}
