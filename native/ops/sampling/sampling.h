// The next token of each row of logits: greedy, or sampled with temperature, top-k and top-p (in this order, as transformers does).
// logits float32 [B, V] on the device. Greedy ties go to the lowest id.
//
// The filters keep what transformers' processors keep (generation/logits_process.py; Holtzman et al. 2020 for top-p):
//   top-k  every logit not below the k-th largest: ties with it all stay
//   top-p  walking up from the smallest, a token goes while the probability so far, its own included, is at most 1 - top_p; among
//          equal logits the lower ids go first; the largest always stays
// A sampled row draws once, u = uniform(seed, key, step), and takes the first kept token, by id, whose cumulative probability
// exceeds u. The generator is Philox4x32-10 with key = seed and counter = (key, step), so a result does not depend on the batch
// around it or on the thread count.
#pragma once
#include "core/device.h"
#include "core/tensor.h"

namespace gt {

struct Sampling {
  float temperature = 0;  // 0: greedy
  int32_t top_k = 0;      // 0: all
  double top_p = 1;       // 1: all; above 0
  uint64_t seed = 0;
};

// Throws Error(kArgument) for a number out of range.
void check_sampling(const char* op, const Sampling& sampling);

// next int32 [B] on the host; keys: an id for each of the B rows; steps: the index of the generated token in each row (both unread when
// greedy). Throws Error(kArgument) naming the row if a row holds NaN or its largest logit is not finite.
void next_tokens(Device& device, const Tensor& next, const Tensor& logits, const Sampling& sampling, const int64_t* keys, const int64_t* steps);

// Greedy tokens of logits = x · weightᵀ: x [B, C], weight [V, C]. `logits` float32 [B, V] is working memory; GPUs do not touch it for up
// to 16 rows, where the product keeps each row's largest only. The same tokens as matmul_forward and next_tokens give.
void greedy_tokens(Device& device, const Tensor& next, const Tensor& x, const Tensor& weight, const Tensor& logits);

}  // namespace gt
