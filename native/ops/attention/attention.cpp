// The door of attention: checks shapes, dtypes and sequences, cuts the sequences into blocks, then picks the backend.
#include "ops/attention/attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/profile.h"
#include "ops/attention/cpu.h"
#include "ops/attention/gpu.h"

namespace gt {
namespace {

void check_numbers(const char* op, float scale, int64_t window) {
  require(std::isfinite(scale), Code::kArgument, op, ": scale is ", scale, ", expected a finite number");
  require(window >= 0, Code::kArgument, op, ": window is ", window, ", expected 0 (no window) or a number of tokens");
}

// q, k and qkv of forward and backward, and what they have in common.
cpu::AttentionShape check_operands(const char* op, const Tensor& q, const Tensor& k, const Tensor& qkv, float scale, int64_t window) {
  require(q.rank == 3 && q.shape[1] > 0 && q.shape[2] > 0, Code::kShape, op, ": q is ", q.describe(), ", expected [T, H, D]");
  require(k.rank == 3 && k.shape[1] > 0 && q.shape[1] % k.shape[1] == 0, Code::kShape, op, ": k is ", k.describe(), ", expected [T, K, D] with K dividing the ", q.shape[1], " heads of q");
  const int64_t T = q.shape[0], H = q.shape[1], K = k.shape[1], D = q.shape[2];
  require_shape(op, "k", k, {T, K, D});
  require_shape(op, "qkv", qkv, {T, H + 2 * K, D});
  require_dtype(op, "q", q, {DType::f32, DType::bf16});
  require_dtype(op, "k", k, {q.dtype});
  require_dtype(op, "qkv", qkv, {q.dtype});
  check_numbers(op, scale, window);
  return {q.dtype, H, K, D, scale, window};
}

// What the GPU kernels ask for beyond that, of q [T or B, H, D].
void check_gpu(const char* op, const Device& device, const Tensor& q) {
  require(q.dtype == DType::bf16, Code::kArgument, op, ": q is ", q.describe(), ", the ", name_of(device.kind), " backend takes bfloat16");
  const int64_t D = q.shape[2], rows = q.shape[0] * q.shape[1];
  require(D % 8 == 0 && D <= gpu::kAttentionMaxD, Code::kArgument, op, ": the head size D is ", D, ", the ", name_of(device.kind), " backend takes multiples of 8 up to ", gpu::kAttentionMaxD);
  require(rows <= INT32_MAX / 2, Code::kArgument, op, ": q has ", rows, " rows, the ", name_of(device.kind), " backend takes ", INT32_MAX / 2, " at most");
}

const cpu::Attention& pick_cpu(const cpu::AttentionShape& shape) {
#if defined(__x86_64__)
  if (shape.dtype == DType::bf16 && shape.D % 2 == 0 && cpu::has_fast_bf16_pairs()) return cpu::attention_avx512bf16;
#endif
  (void)shape;
  return GT_PICK(cpu::attention);
}

// The first token of each sequence, and T.
const int32_t* check_starts(const char* op, const Tensor& starts, int64_t T) {
  require_dtype(op, "starts", starts, {DType::i32});
  require(starts.rank == 1 && starts.shape[0] > 0, Code::kShape, op, ": starts is ", starts.describe(), ", expected [S + 1]");
  const int32_t* at = starts.as<int32_t>();
  const int64_t S = starts.shape[0] - 1;
  require(at[0] == 0, Code::kArgument, op, ": starts[0] is ", at[0], ", expected 0");
  for (int64_t i = 0; i < S; i++)
    require(at[i] < at[i + 1], Code::kArgument, op, ": sequence ", i, " is tokens [", at[i], ", ", at[i + 1], "), expected at least one token");
  require(at[S] == T, Code::kArgument, op, ": starts ends at ", at[S], ", expected the ", T, " tokens of q");
  return at;
}

// Blocks of each sequence and kv head, with rows_per_token rows for each token (1 for keys). Blocks are cut from the start of
// the sequence, never from the start of the batch. Query blocks come last first, since later rows see more keys: the
// longest tasks start first.
std::vector<cpu::AttentionBlock> cut(const int32_t* starts, int64_t S, int64_t K, int64_t rows_per_token) {
  std::vector<cpu::AttentionBlock> blocks;
  for (int64_t i = 0; i < S; i++) {
    const int64_t length = starts[i + 1] - starts[i], rows = length * rows_per_token;
    for (int64_t first = (rows - 1) / cpu::kAttentionOwned * cpu::kAttentionOwned; first >= 0; first -= cpu::kAttentionOwned)
      for (int64_t head = 0; head < K; head++)
        blocks.push_back({starts[i], length, head, first, std::min(cpu::kAttentionOwned, rows - first)});
  }
  return blocks;
}

// Scratch of the tasks that run at one time, back to the device at the end of the scope.
struct Scratch {
  Device& device;
  const int64_t slots;
  const size_t bytes;
  float* const data;
  Scratch(Device& device, int64_t tasks, int64_t D)
      : device(device), slots(std::min<int64_t>(device.threads().count(), tasks)), bytes(size_t(slots * cpu::attention_scratch(D)) * sizeof(float)), data(static_cast<float*>(device.allocate(bytes))) {}
  ~Scratch() { device.release(data, bytes); }
  Scratch(const Scratch&) = delete;
};

}  // namespace

void attention_forward(Device& device, const Tensor& out, const Tensor& lse, const Tensor& q, const Tensor& k, const Tensor& qkv, const Tensor& starts, float scale, int64_t window) {
  const char* op = "attention_forward";
  const Span span(device, op);
  const cpu::AttentionShape shape = check_operands(op, q, k, qkv, scale, window);
  const int64_t T = q.shape[0];
  require_shape(op, "out", out, {T, shape.H, shape.D});
  require_dtype(op, "out", out, {q.dtype});
  require_shape(op, "lse", lse, {T, shape.H});
  require_dtype(op, "lse", lse, {DType::f32});
  const int32_t* first = check_starts(op, starts, T);
  if (T == 0) return;
  switch (device.kind) {
    case DeviceKind::cpu: {
      const auto query_blocks = cut(first, starts.shape[0] - 1, shape.K, shape.H / shape.K);
      const Scratch scratch(device, int64_t(query_blocks.size()), shape.D);
      cpu::AttentionTensors x;
      x.q = q.data, x.k = k.data, x.qkv = qkv.data, x.out = out.data, x.lse = lse.as<float>(), x.T = T;
      return pick_cpu(shape).forward(device.threads(), shape, x, {query_blocks.data(), int64_t(query_blocks.size()), nullptr, 0, scratch.data, scratch.slots});
    }
    case DeviceKind::cuda:
    case DeviceKind::emulated:
      check_gpu(op, device, q);
      return GT_PICK_GPU(device, attention).forward(device.gpu(), {T, shape.H, shape.K, shape.D, scale, window, first, starts.shape[0] - 1}, out.as<bf16>(), lse.as<float>(), q.as<bf16>(), k.as<bf16>(), qkv.as<bf16>());
  }
}

void attention_backward(Device& device, const Tensor& dq, const Tensor& dk, const Tensor& dqkv, const Tensor& dout, const Tensor& out, const Tensor& lse, const Tensor& q, const Tensor& k, const Tensor& qkv, const Tensor& starts, float scale, int64_t window) {
  const char* op = "attention_backward";
  const Span span(device, op);
  const cpu::AttentionShape shape = check_operands(op, q, k, qkv, scale, window);
  const int64_t T = q.shape[0], H = shape.H, K = shape.K, D = shape.D;
  require_shape(op, "dq", dq, {T, H, D});
  require_shape(op, "dk", dk, {T, K, D});
  require_shape(op, "dqkv", dqkv, {T, H + 2 * K, D});
  require_shape(op, "dout", dout, {T, H, D});
  require_shape(op, "out", out, {T, H, D});
  require_shape(op, "lse", lse, {T, H});
  require_dtype(op, "dq", dq, {q.dtype});
  require_dtype(op, "dk", dk, {q.dtype});
  require_dtype(op, "dqkv", dqkv, {q.dtype});
  require_dtype(op, "dout", dout, {q.dtype});
  require_dtype(op, "out", out, {q.dtype});
  require_dtype(op, "lse", lse, {DType::f32});
  const int32_t* first = check_starts(op, starts, T);
  if (T == 0) return;
  switch (device.kind) {
    case DeviceKind::cpu: {
      const int64_t S = starts.shape[0] - 1;
      const auto query_blocks = cut(first, S, K, H / K), key_blocks = cut(first, S, K, 1);
      const Scratch scratch(device, int64_t(query_blocks.size()), D);
      std::vector<float> delta(size_t(T * H));
      cpu::AttentionTensors x;
      x.q = q.data, x.k = k.data, x.qkv = qkv.data, x.out = out.data, x.lse = lse.as<float>(), x.T = T;
      x.dout = dout.data, x.dq = dq.data, x.dk = dk.data, x.dqkv = dqkv.data, x.delta = delta.data();
      return pick_cpu(shape).backward(device.threads(), shape, x, {query_blocks.data(), int64_t(query_blocks.size()), key_blocks.data(), int64_t(key_blocks.size()), scratch.data, scratch.slots});
    }
    case DeviceKind::cuda:
    case DeviceKind::emulated:
      check_gpu(op, device, q);
      return GT_PICK_GPU(device, attention).backward(device.gpu(), {T, H, K, D, scale, window, first, starts.shape[0] - 1}, dq.as<bf16>(), dk.as<bf16>(), dqkv.as<bf16>(), dout.as<bf16>(), out.as<bf16>(), lse.as<float>(), q.as<bf16>(), k.as<bf16>(), qkv.as<bf16>());
  }
}

void attention_decode(Device& device, const Tensor& out, const Tensor& q, const Tensor& key_cache, const Tensor& value_cache, const Tensor& lengths, float scale, int64_t window) {
  const char* op = "attention_decode";
  const Span span(device, op);
  require(q.rank == 3 && q.shape[1] > 0 && q.shape[2] > 0, Code::kShape, op, ": q is ", q.describe(), ", expected [B, H, D]");
  require(key_cache.rank == 4 && key_cache.shape[2] > 0 && q.shape[1] % key_cache.shape[2] == 0, Code::kShape, op, ": key_cache is ", key_cache.describe(), ", expected [B, L, K, D] with K dividing the ", q.shape[1], " heads of q");
  const int64_t B = q.shape[0], H = q.shape[1], D = q.shape[2], L = key_cache.shape[1], K = key_cache.shape[2];
  require_shape(op, "key_cache", key_cache, {B, L, K, D});
  require_shape(op, "value_cache", value_cache, {B, L, K, D});
  require_shape(op, "out", out, {B, H, D});
  require_shape(op, "lengths", lengths, {B});
  require_dtype(op, "q", q, {DType::f32, DType::bf16});
  require_dtype(op, "key_cache", key_cache, {q.dtype});
  require_dtype(op, "value_cache", value_cache, {q.dtype});
  require_dtype(op, "out", out, {q.dtype});
  require_dtype(op, "lengths", lengths, {DType::i32});
  check_numbers(op, scale, window);
  const int32_t* length = lengths.as<int32_t>();
  for (int64_t b = 0; b < B; b++)
    require(length[b] >= 1 && length[b] <= L, Code::kArgument, op, ": lengths[", b, "] is ", length[b], ", expected 1 to ", L, ", the rows of the cache");
  if (B == 0) return;
  switch (device.kind) {
    case DeviceKind::cpu: {
      const cpu::AttentionShape shape{q.dtype, H, K, D, scale, window};
      const Scratch scratch(device, B * K, D);
      return pick_cpu(shape).decode(device.threads(), shape, out.data, q.data, key_cache.data, value_cache.data, length, B, L, scratch.data, scratch.slots);
    }
    case DeviceKind::cuda:
    case DeviceKind::emulated:
      check_gpu(op, device, q);
      return GT_PICK_GPU(device, attention).decode(device.gpu(), out.as<bf16>(), q.as<bf16>(), key_cache.as<bf16>(), value_cache.as<bf16>(), length, B, L, H, K, D, scale, window);
  }
}

}  // namespace gt
