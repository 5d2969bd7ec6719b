#pragma once
#include "core/parallel.h"
#include "core/tensor.h"
#include "cpu/isa.h"

namespace gt::cpu {

// All operands of one call have the same type.
struct Geglu {
  void (*forward)(Threads&, void* h, const void* gate_up, DType type, int64_t T, int64_t I);
  // dgate_up may be gate_up
  void (*backward)(Threads&, void* dgate_up, const void* dh, const void* gate_up, DType type, int64_t T, int64_t I);
};
GT_DECLARE_TABLES(Geglu, geglu);

}  // namespace gt::cpu
