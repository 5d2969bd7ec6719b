// Matrix products of a linear layer, weight stored as in safetensors: [N, K] (out features, in features).
//
//   forward           y[M, N]        =  x[M, K] · weight[N, K]ᵀ
//   backward_input    dx[M, K]       =  dy[M, N] · weight[N, K]
//   backward_weight   dweight[N, K] +=  dy[M, N]ᵀ · x[M, K]
//
// The two factors have one dtype, which decides the arithmetic: float32 x float32 -> float32 FMA, bfloat16 x bfloat16 -> exact
// products, float32 accumulation. The result may be float32 or bfloat16 (rounded to nearest once, at the end), dweight too, whatever
// the factors: a bfloat16 dweight is read, added in float32 to the whole product, and rounded once a product. So a sum over n products is off
// by about √n · 2^-9 of its largest partial sum, far below the noise of a gradient from a few sequences.
// Each output element is summed over its inner dimension in an order that depends on the weight's shape and the CPU's kernel family
// only (for dweight: and on the number of tokens). Any number of threads gives the same bits, and a row of y or dx has the same bits
// alone as among others. AVX512-BF16 and AMX take subnormal numbers as zero.
//
// GPUs take bfloat16 factors, float32 for dweight, and N and K that are multiples of 8. A row of y has the same bits in all batches on the same side of
// M = 16 (up to there the kernel for decoding is used), a row of dx in all batches. On sm75 (gpu/containers.h) numbers below
// 2^-32 of a factor's largest lose digits, so there "the same bits" asks that the batches' largest numbers are less far apart, and
// a factor with an infinity or NaN is not scaled: beyond those, numbers over 65,504 become infinite and below 2^-17 lose digits.
#pragma once
#include "core/device.h"
#include "core/tensor.h"

namespace gt {

void matmul_forward(Device& device, const Tensor& y, const Tensor& x, const Tensor& weight);
void matmul_backward_input(Device& device, const Tensor& dx, const Tensor& dy, const Tensor& weight);
void matmul_backward_weight(Device& device, const Tensor& dweight, const Tensor& dy, const Tensor& x);

}  // namespace gt
