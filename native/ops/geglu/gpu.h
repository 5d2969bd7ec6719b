#pragma once
#include "core/bf16.h"
#include "gpu/context.h"

namespace gt::gpu {

// I is a multiple of 8.
struct Geglu {
  void (*forward)(Context&, bf16* h, const bf16* gate_up, int64_t T, int64_t I);
  // dgate_up may be gate_up
  void (*backward)(Context&, bf16* dgate_up, const bf16* dh, const bf16* gate_up, int64_t T, int64_t I);
};

}  // namespace gt::gpu

GT_DECLARE_GPU_TABLES(Geglu, geglu)
