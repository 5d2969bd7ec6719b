// The update: one pass over all parameters.
#include "bench/cases.h"
#include "ops/adamw/adamw.h"
#include "ops/global_norm/global_norm.h"

namespace gt::bench {

void global_norm(Bench& b) {
  const int64_t N = b.shapes.matrices + b.shapes.norms;
  Data x = b.f32({N}), norm = b.zeros(DType::f64, {1});
  b.run("global_norm", dims({N}), moved({x}), 0, {1, 1}, [&] { global_norm(b.device, norm, x); });
}

void adamw(Bench& b) {
  AdamW options;
  options.learning_rate = 1e-5, options.divisor = 960, options.max_grad_norm = 1;
  options.beta1 = 0.9999;  // gradients are zero after the first of thousands of calls: with 0.9 the moments would become subnormal
  Data norm = b.zeros(DType::f64, {1});
  for (const int64_t N : {b.shapes.matrices, b.shapes.norms}) {
    Data param = b.values({N}), grad = b.f32({N}), m = b.f32({N}), v(b.device, DType::f32, {N}, 0);
    Data low_halves = b.zeros(DType::i16, {b.dtype == DType::bf16 ? N : 0});
    const Tensor remainder = b.dtype == DType::bf16 ? low_halves.tensor : Tensor();
    b.run("adamw_update", dims({N}), moved({param, param, low_halves, low_halves, grad, grad, m, m, v, v}), 0, {1, 1},
          [&] { adamw_update(b.device, param, remainder, grad, m, v, norm, options); });
  }
}

}  // namespace gt::bench
