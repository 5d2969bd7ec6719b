// Rows of the embedding table, scaled: x[t] = scale · table[ids[t]]. x float32 [T, C]; table [V, C] float32 or bfloat16.
// Backward: dtable[ids[t]] += scale · dx[t]; every table row is owned by one task and takes its tokens in position order, in float32.
// dtable is float32, on the CPU also bfloat16, rounded once a call.
// Ids outside [0, V) are refused with the position and the id. A GPU takes a bfloat16 table, C a multiple of 8.
#pragma once
#include "core/device.h"
#include "core/tensor.h"

namespace gt {

// ids int32 [T] on the host
void embedding_forward(Device& device, const Tensor& x, const Tensor& table, const Tensor& ids, float scale);

// dtable [V, C] (+=), dx float32 [T, C]
void embedding_backward(Device& device, const Tensor& dtable, const Tensor& dx, const Tensor& ids, float scale);

}  // namespace gt
