// AdamW with decoupled weight decay (Loshchilov & Hutter 2019), as torch's fused kernel orders it, in float32:
//
//   g = gradient_scale · grad
//   p -= lr · weight_decay · p;  m = m + (1 - beta1)(g - m);  v = beta2 · v + (1 - beta2) g²
//   p -= lr / (1 - beta1^step) · m / (√v / √(1 - beta2^step) + eps)
//
// One pass over a flat range: reads grad, p, m, v; writes p, m, v, and sets grad to zero for the next step.
//
// Master weights are always float32 in value. They are stored either as float32, or split: `param` holds the bfloat16 that the
// matrix products read and `remainder` (int16) the rest, master bits = (param bits << 16) + remainder (wrapping), where param is
// the master rounded half up. 4 bytes a weight instead of 6, and exact.
#pragma once
#include "core/device.h"
#include "core/tensor.h"

namespace gt {

struct AdamW {
  double learning_rate = 0, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;  // double as in torch: 1 - beta2 keeps its digits
  int64_t step = 1;          // 1-based: this update's number
  float gradient_scale = 1;  // 1 / tokens, times the clip factor
};

// param float32 [N], remainder empty; or param bfloat16 [N], remainder int16 [N]. grad, m, v float32 [N].
void adamw_update(Device& device, const Tensor& param, const Tensor& remainder, const Tensor& grad, const Tensor& m, const Tensor& v, const AdamW& options);

// The split form, for loading and saving: exact both ways.
float join_master(bf16 high, int16_t remainder);
void split_master(float master, bf16* high, int16_t* remainder);

}  // namespace gt
