// Chosen rows of a matrix, and back: the head sees supervised rows only.
//   gather:  y[i] = x[rows[i]]          scatter:  dx = 0, then dx[rows[i]] = dy[i]   (rows are distinct)
#pragma once
#include "core/device.h"
#include "core/tensor.h"

namespace gt {

// y [R, C], x [T, C], both float32; rows int32 [R] on the host, each in [0, T)
void gather_rows(Device& device, const Tensor& y, const Tensor& x, const Tensor& rows);
void scatter_rows(Device& device, const Tensor& dx, const Tensor& dy, const Tensor& rows);

}  // namespace gt
