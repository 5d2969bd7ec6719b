// L2 norm of a flat float32 arena: squares summed in double over fixed blocks, blocks added in order. Same bits for any thread count.
#pragma once
#include "core/device.h"
#include "core/tensor.h"

namespace gt {

// x float32 [N]
double global_norm(Device& device, const Tensor& x);

}  // namespace gt
