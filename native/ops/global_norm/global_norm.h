// L2 norm of a flat arena, float32 or on the CPU also bfloat16: squares summed in double over fixed blocks, block sums added in a fixed order. Same bits every time and
// for any thread count; the blocks are a backend's own.
#pragma once
#include "core/device.h"
#include "core/tensor.h"

namespace gt {

// out float64 [1], x [N], both on the device. On GPUs x is 16-byte aligned.
void global_norm(Device& device, const Tensor& out, const Tensor& x);

}  // namespace gt
