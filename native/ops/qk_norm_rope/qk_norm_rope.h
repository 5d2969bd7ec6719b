// Per-head RMSNorm of queries and keys, then rotary position embedding (Su et al. 2021; transformers Gemma3Attention, half-split layout).
//
// qkv holds, per token, H query heads, then K key heads, then K value heads, each of D numbers; values are not touched here.
//   n      = rmsnorm(head, q_weight or k_weight)                    (float32, (1 + weight))
//   out[i] = n[i] · cos[p, i] - n[i + D/2] · sin[p, i]               i < D/2, p = position of the token in its sequence
//   out[i + D/2] = n[i + D/2] · cos[p, i] + n[i] · sin[p, i]
//
// Backward: rotates dq, dk back, then through the norm; writes (=) the query and key heads of dqkv; dq_weight, dk_weight +=
// (float32, on the CPU also bfloat16, rounded once a call; fixed row blocks in order). The value heads of dqkv are attention_backward's to write.
//
// On a GPU every tensor is in its memory, positions and table too, and the caller vouches for positions below P; it takes bfloat16
// qkv and weights, D a multiple of 8 up to 256.
#pragma once
#include "core/device.h"
#include "core/tensor.h"

namespace gt {

// cos, sin float32 [P, D/2] on the host for positions 0..P-1. As transformers computes them: inv_freq[i] = 1 / theta^(2i/D) in float32,
// divided by `factor` (linear scaling; 1 = none), angle = position · inv_freq in float32.
void rope_table(const Tensor& cos, const Tensor& sin, double theta, double factor);

// q [T, H, D], k [T, K, D] (dtype of qkv), rstd float32 [T, H + K], qkv [T, H + 2K, D], q_weight/k_weight [D], positions int32 [T] < P
void qk_norm_rope_forward(Device& device, const Tensor& q, const Tensor& k, const Tensor& rstd, const Tensor& qkv, const Tensor& q_weight, const Tensor& k_weight, const Tensor& cos, const Tensor& sin, const Tensor& positions, float eps);

// dqkv [T, H + 2K, D] (=, query and key heads), dq_weight/dk_weight [D] of one dtype (+=), dq [T, H, D], dk [T, K, D]
void qk_norm_rope_backward(Device& device, const Tensor& dqkv, const Tensor& dq_weight, const Tensor& dk_weight, const Tensor& dq, const Tensor& dk, const Tensor& qkv, const Tensor& q_weight, const Tensor& k_weight, const Tensor& rstd, const Tensor& cos, const Tensor& sin, const Tensor& positions);

}  // namespace gt
