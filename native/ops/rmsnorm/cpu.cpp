// CPU backend of rmsnorm: rows in parallel, sixteen lanes at a time, float32 throughout.
#include "ops/rmsnorm/cpu.h"

#include <cmath>

#include "cpu/rows.h"

namespace gt::cpu {
namespace {

template <class Y, class X, class W>
void forward_rows(Y* y, float* rstd, const float* residual, const X* x, const W* weight, int64_t begin, int64_t end, int64_t C, float eps) {
  for (int64_t t = begin; t < end; t++) {
    const X* row = x + t * C;
    f32x16 squares{};
    lanes(C, [&](int64_t c, int64_t n) { f32x16 v = get(row + c, n); squares += v * v; });
    float r = 1.f / std::sqrt(sum(squares) / float(C) + eps);
    rstd[t] = r;
    lanes(C, [&](int64_t c, int64_t n) {
      f32x16 v = get(row + c, n) * r * (1.f + get(weight + c, n));
      if (residual) v += get(residual + t * C + c, n);
      put(y + t * C + c, v, n);
    });
  }
}

template <class DX, class DY, class X, class W>
void backward_rows(DX* dx, bool accumulate, float* partial, const DY* dy, const X* x, const W* weight, const float* rstd, int64_t begin, int64_t end, int64_t C) {
  for (int64_t c = 0; c < C; c++) partial[c] = 0;
  for (int64_t t = begin; t < end; t++) {
    const float r = rstd[t];
    f32x16 dots{};
    lanes(C, [&](int64_t c, int64_t n) {
      f32x16 xv = get(x + t * C + c, n), g = get(dy + t * C + c, n);
      put(partial + c, get(partial + c, n) + g * xv * r, n);
      dots += g * (1.f + get(weight + c, n)) * xv;
    });
    const float k = sum(dots) / float(C) * r * r;
    lanes(C, [&](int64_t c, int64_t n) {
      f32x16 v = r * (get(dy + t * C + c, n) * (1.f + get(weight + c, n)) - get(x + t * C + c, n) * k);
      if (accumulate) v += get(dx + t * C + c, n);
      put(dx + t * C + c, v, n);
    });
  }
}

void forward(Threads& threads, void* y, DType y_type, float* rstd, const float* residual, const void* x, DType x_type, const void* weight, DType weight_type, int64_t T, int64_t C, float eps) {
  with_type(y_type, [&](auto* ty) { with_type(x_type, [&](auto* tx) { with_type(weight_type, [&](auto* tw) {
    threads.ranges(T, kRmsnormRowBlock, [&](int64_t b, int64_t e) {
      forward_rows((decltype(ty))y, rstd, residual, (decltype(tx))x, (decltype(tw))weight, b, e, C, eps);
    });
  }); }); });
}

void backward(Threads& threads, void* dx, DType dx_type, bool accumulate, void* dweight, DType dweight_type, float* partial, const void* dy, DType dy_type, const void* x, DType x_type, const void* weight, DType weight_type, const float* rstd, int64_t T, int64_t C) {
  with_type(dx_type, [&](auto* tdx) { with_type(dy_type, [&](auto* tdy) { with_type(x_type, [&](auto* tx) { with_type(weight_type, [&](auto* tw) {
    threads.ranges(T, kRmsnormRowBlock, [&](int64_t b, int64_t e) {
      backward_rows((decltype(tdx))dx, accumulate, partial + b / kRmsnormRowBlock * C, (decltype(tdy))dy, (decltype(tx))x, (decltype(tw))weight, rstd, b, e, C);
    });
  }); }); }); });
  with_type(dweight_type, [&](auto* td) { add_blocks((decltype(td))dweight, partial, (T + kRmsnormRowBlock - 1) / kRmsnormRowBlock, C, C); });
}

}  // namespace

extern const Rmsnorm GT_TABLE(rmsnorm);
const Rmsnorm GT_TABLE(rmsnorm) = {forward, backward};

}  // namespace gt::cpu
