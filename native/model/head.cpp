#include "model/head.h"

#include <algorithm>
#include <cmath>

#include "model/split.h"
#include "ops/cross_entropy/cross_entropy.h"
#include "ops/gather/gather.h"
#include "ops/matmul/matmul.h"
#include "ops/rmsnorm/rmsnorm.h"

namespace gt {

// V: logits of a row.
static int64_t most_rows(const Device& device, int64_t V, DType dtype) { return std::max<int64_t>(16, (device.on_host() ? kHostLogits : kGpuLogits) / (V * size_of(dtype))); }

// Rows of a chunk: even chunks, no small last one.
static int64_t chunk_rows(int64_t R, int64_t most) {
  const int64_t chunks = (R + most - 1) / most;
  return (R + chunks - 1) / chunks;
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
  Tensor x, rstd, normed, logits;
  Tensor statistics, loss, entropy, correct;  // the last three are thirds of the first, which goes to the host in one piece
  Tensor dx, dnormed;                         // backward only
  Tensor rows;
  int64_t chunk = 1;

  void lay_out(Arena& arena, const Device& device, const Config& config, DType dtype, int64_t R, bool backward) {
    const int64_t C = config.hidden_size;
    const int64_t most = most_rows(device, config.vocab_size, dtype);
    chunk = chunk_rows(R, most);
    arena.add(&x, DType::f32, {R, C});
    arena.add(&rstd, DType::f32, {R});
    arena.add(&normed, dtype, {R, C});
    arena.add(&logits, dtype, {std::min(R, most), config.vocab_size});  // not `chunk`: more rows must never take less memory
    arena.add(&statistics, DType::f32, {3 * R});
    if (backward) {
      arena.add(&dx, DType::f32, {R, C});
      arena.add(&dnormed, dtype, {R, C});
    }
  }

  HeadPass() = default;
  HeadPass(Device& device, Buffer& memory, const Config& config, DType dtype, const Supervised& s, bool backward) {
    const int64_t R = int64_t(s.rows.size());
    rows = host_ids(s.rows.data(), R);
    Arena arena;
    lay_out(arena, device, config, dtype, R, backward);
    arena.allocate(device, memory);
    loss = statistics.rows(0, R), entropy = statistics.rows(R, R), correct = statistics.rows(2 * R, R);
    correct.dtype = DType::i32;
  }

  template <class Chunk>
  void for_each_chunk(const Chunk& body) {
    const int64_t R = x.shape[0];
    for (int64_t first = 0; first < R; first += chunk) {
      int64_t n = std::min(chunk, R - first);
      body(first, n, logits.rows(0, n));
    }
  }

  PendingMetrics metrics(Device& device) const {
    device.fetch(statistics.data, size_t(statistics.bytes()));
    return PendingMetrics(device, x.shape[0]);
  }
};

Metrics PendingMetrics::wait() const {
  if (rows_ == 0) return {};
  const float* loss = static_cast<const float*>(device_.wait());
  const float* entropy = loss + rows_;
  const int32_t* correct = reinterpret_cast<const int32_t*>(entropy + rows_);
  Metrics m;
  m.targets = rows_;
  for (int64_t i = 0; i < rows_; i++) m.loss_sum += loss[i], m.entropy_sum += entropy[i], m.correct += correct[i];
  return m;
}

// The tensors of a call whose vocabulary is cut: of R own rows, and of all ranks' rows.
struct SplitHead {
  Tensor x, rstd, dx;                      // own rows
  Tensor normed, dnormed;                  // all rows
  Tensor logits;                           // of the own slice
  Tensor loss, entropy, correct;           // all rows
  Tensor statistics, merged;               // of a chunk
  Tensor own;                              // loss, entropy, correct of own rows, thirds of what goes to the host
  int64_t chunk = 1;

  void lay_out(Arena& arena, const Device& device, const Config& config, DType dtype, int64_t R, int64_t all, int64_t slice, int ranks) {
    // By the largest slice: all ranks must cut the rows into the same chunks.
    const int64_t C = config.hidden_size, most = most_rows(device, slice_of(config.vocab_size, 0, ranks).count, dtype), held = std::min(all, most);
    chunk = chunk_rows(all, most);
    arena.add(&x, DType::f32, {R, C});
    arena.add(&rstd, DType::f32, {R});
    arena.add(&dx, DType::f32, {R, C});
    arena.add(&normed, dtype, {all, C});
    arena.add(&dnormed, dtype, {all, C});
    arena.add(&logits, dtype, {held, slice});
    arena.add(&loss, DType::f32, {all});
    arena.add(&entropy, DType::f32, {all});
    arena.add(&correct, DType::i32, {all});
    arena.add(&statistics, DType::f32, {ranks * held * kSliceStatistics});
    arena.add(&merged, DType::f32, {held, 4});
    arena.add(&own, DType::f32, {3, R});
  }
};

int64_t head_bytes(const Device& device, const Config& config, DType dtype, int64_t R, int ranks) {
  if (R == 0) return 0;
  Arena arena;
  if (ranks > 1) {
    SplitHead p;
    p.lay_out(arena, device, config, dtype, R, R * ranks, slice_of(config.vocab_size, 0, ranks).count, ranks);
  } else {
    HeadPass p;
    p.lay_out(arena, device, config, dtype, R, true);
  }
  return arena.bytes();
}

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
  return p.metrics(device).wait();
}

PendingMetrics head_forward_backward(Device& device, Buffer& memory, const Config& config, const HeadWeights& w, const HeadWeights& dw, const Tensor& x, const Tensor& dx, const Supervised& s) {
  HeadPass p(device, memory, config, w.embedding.dtype, s, true);
  gather_rows(device, p.x, x, p.rows);
  rmsnorm_forward(device, p.normed, p.rstd, p.x, w.norm, float(config.rms_norm_eps));
  p.for_each_chunk([&](int64_t first, int64_t n, const Tensor& logits) {
    const Tensor targets = host_ids(s.targets.data() + first, n);
    linear_cross_entropy(device, p.loss.rows(first, n), p.entropy.rows(first, n), p.correct.rows(first, n), p.dnormed.rows(first, n), dw.embedding, logits, p.normed.rows(first, n), w.embedding, targets);
  });
  rmsnorm_backward(device, p.dx, false, dw.norm, p.dnormed, p.x, w.norm, p.rstd);
  scatter_rows(device, dx, p.dx, p.rows);
  return p.metrics(device);
}

PendingMetrics head_forward_backward(Device& device, Buffer& memory, const Config& config, const HeadWeights& w, const HeadWeights& dw, const Tensor& x, const Tensor& dx, const Supervised& s, SplitPass& split) {
  const int64_t R = int64_t(s.rows.size()), all = int64_t(split.targets().size()), C = config.hidden_size, first = split.first_row();
  const VocabularySlice slice = split.slice();
  Arena arena;
  SplitHead p;
  p.lay_out(arena, device, config, w.embedding.dtype, R, all, slice.count, split.size());
  arena.allocate(device, memory);
  const Tensor rows = host_ids(s.rows.data(), R);
  std::vector<int64_t> elements;
  for (int64_t each : split.rows()) elements.push_back(each * C);
  comm::Communicator& ranks = split.ranks();

  if (R > 0) {
    gather_rows(device, p.x, x, rows);
    rmsnorm_forward(device, p.normed.rows(first, R), p.rstd, p.x, w.norm, float(config.rms_norm_eps));
  }
  ranks.all_gather(p.normed, elements, "the rows that are learnt");
  ranks.wait();

  const Tensor table = w.embedding.rows(slice.first, slice.count), dtable = dw.embedding.rows(slice.first, slice.count);
  for (int64_t at = 0; at < all; at += p.chunk) {
    const int64_t n = std::min(p.chunk, all - at), block = n * kSliceStatistics;
    const Tensor statistics(p.statistics.data, DType::f32, {split.size(), n, kSliceStatistics});
    const auto exchange = [&] {
      ranks.all_gather(Tensor(p.statistics.data, DType::f32, {split.size() * block}), std::vector<int64_t>(size_t(split.size()), block), "the sums of logits");
      ranks.wait();
    };
    // Behind the last chunk's gradient of the table.
    const auto send = [&] { if (at + n == all) ranks.reduce_scatter(p.dnormed, elements, "the gradient of the rows that are learnt"); };
    linear_cross_entropy_of_slice(device, p.loss.rows(at, n), p.entropy.rows(at, n), p.correct.rows(at, n), p.dnormed.rows(at, n), dtable, p.logits.rows(0, n), p.normed.rows(at, n), table, host_ids(split.targets().data() + at, n),
                                  {slice.first, split.rank(), split.size(), statistics, p.merged.rows(0, n), exchange, send});
  }
  ranks.wait();
  if (R > 0) {
    rmsnorm_backward(device, p.dx, false, dw.norm, p.dnormed.rows(first, R), p.x, w.norm, p.rstd);
    scatter_rows(device, dx, p.dx, rows);
    for (auto [i, t] : {std::pair{0, p.loss}, {1, p.entropy}, {2, p.correct}}) device.copy_within(p.own.rows(i, 1).data, t.rows(first, R).data, size_t(R) * 4);
    device.fetch(p.own.data, size_t(p.own.bytes()));
  }
  return PendingMetrics(device, R);
}

}  // namespace gt
