#include "model/head.h"

#include <cmath>

#include "ops/cross_entropy/cross_entropy.h"
#include "ops/gather/gather.h"
#include "ops/matmul/matmul.h"
#include "ops/rmsnorm/rmsnorm.h"

namespace gt {

// Logits held at once. Larger chunks read and write the embedding's gradient less often: at 262,144 x 640 that is 1.3 GB of
// traffic a chunk, as much time as 500 rows of arithmetic on a fast CPU.
constexpr int64_t kLogitBytes = int64_t(256) << 20;

static int64_t chunk_rows(const Config& config, DType dtype, int64_t R) {
  int64_t rows = std::max<int64_t>(16, kLogitBytes / (config.vocab_size * size_of(dtype)));
  int64_t chunks = (R + rows - 1) / rows;
  return (R + chunks - 1) / chunks;  // even chunks: no small last one
}

Supervised supervised_rows(const int32_t* targets, int64_t T, int64_t vocab_size) {
  Supervised s;
  for (int64_t t = 0; t < T; t++) {
    if (targets[t] == -100) continue;
    require(targets[t] >= 0 && targets[t] < vocab_size, Code::kArgument, "targets[", t, "] is ", targets[t], ", expected -100 or a token id from 0 to ", vocab_size - 1);
    s.rows.push_back(int32_t(t));
    s.targets.push_back(targets[t]);
  }
  return s;
}

// The tensors of one call, and the loop over chunks that forward and backward share.
struct HeadPass {
  Tensor x, rstd, normed, logits, loss, entropy, correct;
  Tensor dx, dnormed;  // backward only
  Tensor rows;
  int64_t chunk;

  HeadPass(Device& device, Buffer& memory, const Config& config, DType dtype, const Supervised& s, bool backward) {
    const int64_t R = int64_t(s.rows.size()), C = config.hidden_size;
    rows = host_ids(s.rows.data(), R);
    chunk = chunk_rows(config, dtype, R);
    Arena arena;
    arena.add(&x, DType::f32, {R, C});
    arena.add(&rstd, DType::f32, {R});
    arena.add(&normed, dtype, {R, C});
    arena.add(&logits, dtype, {chunk, config.vocab_size});
    arena.add(&loss, DType::f32, {R});
    arena.add(&entropy, DType::f32, {R});
    arena.add(&correct, DType::i32, {R});
    if (backward) {
      arena.add(&dx, DType::f32, {R, C});
      arena.add(&dnormed, dtype, {R, C});
    }
    arena.allocate(device, memory);
  }

  template <class Chunk>
  void for_each_chunk(const Chunk& body) {
    const int64_t R = x.shape[0];
    for (int64_t first = 0; first < R; first += chunk) {
      int64_t n = std::min(chunk, R - first);
      body(first, n, logits.rows(0, n));
    }
  }

  Metrics metrics(Device& device) const {
    const size_t R = size_t(x.shape[0]);
    std::vector<float> l(R), e(R);
    std::vector<int32_t> c(R);
    device.copy_to_host(l.data(), loss.data, R * 4);
    device.copy_to_host(e.data(), entropy.data, R * 4);
    device.copy_to_host(c.data(), correct.data, R * 4);
    Metrics m;
    m.targets = int64_t(R);
    for (size_t i = 0; i < R; i++) m.loss_sum += l[i], m.entropy_sum += e[i], m.correct += c[i];
    return m;
  }
};

Metrics head_forward(Device& device, Buffer& memory, const Config& config, const HeadWeights& w, const Tensor& x, const Supervised& s, float* logprobs) {
  if (logprobs) std::fill_n(logprobs, x.shape[0], std::nanf(""));
  if (s.rows.empty()) return {};
  HeadPass p(device, memory, config, w.embedding.dtype, s, false);
  gather_rows(device, p.x, x, p.rows);
  rmsnorm_forward(device, p.normed, p.rstd, p.x, w.norm, float(config.rms_norm_eps));
  p.for_each_chunk([&](int64_t first, int64_t n, const Tensor& logits) {
    const Tensor targets = host_ids(s.targets.data() + first, n);
    matmul_forward(device, logits, p.normed.rows(first, n), w.embedding);
    cross_entropy_forward(device, p.loss.rows(first, n), p.entropy.rows(first, n), p.correct.rows(first, n), logits, targets);
  });
  if (logprobs) {
    std::vector<float> loss(s.rows.size());
    device.copy_to_host(loss.data(), p.loss.data, loss.size() * 4);
    for (size_t i = 0; i < loss.size(); i++) logprobs[s.rows[i]] = -loss[i];
  }
  return p.metrics(device);
}

Metrics head_forward_backward(Device& device, Buffer& memory, const Config& config, const HeadWeights& w, const HeadWeights& dw, const Tensor& x, const Tensor& dx, const Supervised& s) {
  HeadPass p(device, memory, config, w.embedding.dtype, s, true);
  gather_rows(device, p.x, x, p.rows);
  rmsnorm_forward(device, p.normed, p.rstd, p.x, w.norm, float(config.rms_norm_eps));
  p.for_each_chunk([&](int64_t first, int64_t n, const Tensor& logits) {
    const Tensor targets = host_ids(s.targets.data() + first, n);
    const Tensor normed = p.normed.rows(first, n);
    matmul_forward(device, logits, normed, w.embedding);
    cross_entropy_forward_backward(device, p.loss.rows(first, n), p.entropy.rows(first, n), p.correct.rows(first, n), logits, targets);
    const Tensor& dlogits = logits;
    matmul_backward_input(device, p.dnormed.rows(first, n), dlogits, w.embedding);
    matmul_backward_weight(device, dw.embedding, dlogits, normed);
  });
  rmsnorm_backward(device, p.dx, false, dw.norm, p.dnormed, p.x, w.norm, p.rstd);
  scatter_rows(device, dx, p.dx, p.rows);
  return p.metrics(device);
}

}  // namespace gt
