// Softmax cross entropy over rows of logits, with what training logs about them.
//
//   lse = log sum_v exp z[v];  loss = lse - z[target];  entropy = lse - sum_v p[v] z[v] (nats);  correct = argmax z == target
//   backward, in place: z[v] <- p[v] - (v == target)        (the sum over tokens, not the mean)
//
// logits float32 or bfloat16 [R, V]; targets int32 [R], all in [0, V); loss, entropy float32 [R], correct int32 [R] (ties: lowest id).
// A row that holds NaN or an infinity has NaN for loss, entropy and gradient, and correct 0.
// Exponentials are float32; their sums run over fixed blocks of a row, so a row has the same bits in any batch.
#pragma once
#include "core/device.h"
#include "core/tensor.h"

namespace gt {

void cross_entropy_forward(Device& device, const Tensor& loss, const Tensor& entropy, const Tensor& correct, const Tensor& logits, const Tensor& targets);

// The same, and logits become their own gradient.
void cross_entropy_forward_backward(Device& device, const Tensor& loss, const Tensor& entropy, const Tensor& correct, const Tensor& logits, const Tensor& targets);

}  // namespace gt
