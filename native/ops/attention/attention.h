// Causal grouped-query attention over packed sequences, optionally with a sliding window (FlashAttention: Dao et al. 2022; softmax
// statistics in float32, only lse kept for backward).
//
// Token t of a sequence attends to tokens u of the same sequence with t - window < u <= t (window 0: all u <= t). Query head h
// uses key/value head h / (H / K).
//   s[h, t, u] = scale · q[t, h] · k[u, h/(H/K)];  lse[t, h] = log sum_u exp s;  out[t, h] = sum_u exp(s - lse) · v[u]
// Backward: delta = sum_d dout · out; ds = p · (dp - delta); dq, dk (=), and the value heads of dqkv (=; its query and key heads
// are not touched). Deterministic: every output element is owned by one task and summed in position order.
//
// Tensors are all float32 or all bfloat16 (lse is always float32); products and sums are float32 and results are rounded once.
// What a sequence gets does not depend on which others are packed beside it: the bits are those of the sequence alone.
//
// On a GPU: all bfloat16, D a multiple of 8 up to 256. p and ds are rounded before they are multiplied, to bfloat16 or (sm75) scaled fp16.
// The sm75 code path scales q, k, v and dout each by a power of two that the batch shares (gpu/containers.h), so there the bits are those
// of the sequence alone as long as no number of it is below 2^-32 of the batch's largest, and all are finite.
//
// `starts` int32 [S + 1] on the host: sequence i is tokens [starts[i], starts[i+1]), at least one; starts[S] = T. Memory beyond the
// operands is O(T + threads), never T².
#pragma once
#include "core/device.h"
#include "core/tensor.h"

namespace gt {

// out [T, H, D], lse float32 [T, H], q [T, H, D], k [T, K, D], qkv [T, H + 2K, D] whose last K heads are the values
void attention_forward(Device& device, const Tensor& out, const Tensor& lse, const Tensor& q, const Tensor& k, const Tensor& qkv, const Tensor& starts, float scale, int64_t window);

// dq [T, H, D], dk [T, K, D], dqkv [T, H + 2K, D] (value heads only), dout and out [T, H, D]
void attention_backward(Device& device, const Tensor& dq, const Tensor& dk, const Tensor& dqkv, const Tensor& dout, const Tensor& out, const Tensor& lse, const Tensor& q, const Tensor& k, const Tensor& qkv, const Tensor& starts, float scale, int64_t window);

// One new token per sequence against its cache. out, q [B, H, D]; key_cache, value_cache [B, L, K, D] with rows 0..lengths[b]-1 filled
// (the new token's own row included); lengths int32 [B] on the host, each in 1..L. On the CPU the bits are those of the last token in
// attention_forward; on a GPU the two differ by their roundings. What a sequence gets does not depend on the others, nor on L.
void attention_decode(Device& device, const Tensor& out, const Tensor& q, const Tensor& key_cache, const Tensor& value_cache, const Tensor& lengths, float scale, int64_t window);

}  // namespace gt
