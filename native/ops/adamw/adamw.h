// AdamW with decoupled weight decay (Loshchilov & Hutter 2019), as torch's fused kernel orders it, in float32:
//
//   g = grad / divisor, clipped: times min(1, max_grad_norm / (‖grad‖ / divisor + 1e-6)), as torch's clip_grad_norm_
//   p -= lr · weight_decay · p;  m = m + (1 - beta1)(g - m);  v = beta2 · v + (1 - beta2) g²
//   p -= lr / (1 - beta1^step) · m / (√v / √(1 - beta2^step) + eps)
//
// One pass over a flat range: reads grad, p, m, v; writes p, m, v, and sets grad to zero for the next step. The norm stays on the device,
// so that nothing waits for the host. If it is not finite, p, m and v are left alone and only grad is set to zero.
//
// Master weights are always float32 in value. They are stored either as float32, or split: `param` holds the bfloat16 that the
// matrix products read and `remainder` (int16) the rest, master bits = (param bits << 16) + remainder (wrapping), where param is
// the master rounded half up. 4 bytes a weight instead of 6, and exact.
//
// On the CPU there is a third form, without masters: param, grad, m and v all bfloat16, 8 bytes a weight instead of 16. The step is computed in
// float32 as ever; param, m and v are then rounded stochastically (Gupta et al. 2015, "Deep Learning with Limited Numerical Precision"; torchao
// and llm.c do so with weights), so that the mean of what is stored is what was computed. To nearest, a weight of 0.1 would not move by less than 2.4e-4 a
// step, which is more than most learning rates, and v would not decay at all: 0.999 v rounds to v. The random bits are a function of
// (seed, step, index of the element) alone (stochastic.h): same seed, same roundings, with any number of threads and on every instruction set.
#pragma once
#include <cstring>

#include "core/device.h"
#include "core/tensor.h"

namespace gt {

struct AdamW {
  double learning_rate = 0, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;  // double as in torch: 1 - beta2 keeps its digits
  int64_t step = 1;          // 1-based: this update's number
  double divisor = 1;        // tokens that the gradient is the sum over
  double max_grad_norm = 0;  // 0: no clipping
  // Without masters:
  uint64_t seed = 0;
  int64_t first = 0;         // the range's first element is the arena's element `first`, a multiple of 16
};

// param float32 [N], remainder empty; or param bfloat16 [N], remainder int16 [N]; grad, m, v float32 [N]. Or, without masters, param, grad, m, v
// bfloat16 [N], remainder empty. norm float64 [1]: of the
// whole gradient, undivided, of which this range may be a part. All on the device; on GPUs the ranges are 16-byte aligned.
void adamw_update(Device& device, const Tensor& param, const Tensor& remainder, const Tensor& grad, const Tensor& m, const Tensor& v, const Tensor& norm, const AdamW& options);

// The split form, for loading and saving: exact both ways.
inline float join_master(bf16 high, int16_t remainder) {
  const uint32_t bits = (uint32_t(high.bits) << 16) + uint32_t(int32_t(remainder));
  float master;
  std::memcpy(&master, &bits, 4);
  return master;
}
inline void split_master(float master, bf16* high, int16_t* remainder) {
  uint32_t bits;
  std::memcpy(&bits, &master, 4);
  high->bits = uint16_t((bits + 0x8000u) >> 16);
  *remainder = int16_t(uint16_t(bits));
}

}  // namespace gt
