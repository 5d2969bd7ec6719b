// A flat range as another type: float32 to bfloat16, rounded to nearest even (NaN stays NaN, overflow becomes infinite), and bfloat16 to float32, exactly.
#pragma once
#include "core/device.h"
#include "core/tensor.h"

namespace gt {

// to, from [N], one float32 and the other bfloat16, on the device, not overlapping. On GPUs N is a multiple of 8 and both are 16-byte aligned.
void cast(Device& device, const Tensor& to, const Tensor& from);

}  // namespace gt
