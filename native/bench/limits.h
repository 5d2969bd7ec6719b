// What a device can do at most, measured: no op can be faster than both.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/tensor.h"

namespace gt::bench {

struct Limit {
  std::string name;    // "copy", or of the arithmetic: "fma bfloat16", "tensor float16", ...
  std::string family;  // the instructions that were used
  double per_second;   // copy: bytes of large memory, read ones and written ones; else flops
};

// copy, and the arithmetic that a model of `dtype` uses on this device. Takes about `seconds` for each.
std::vector<Limit> measure_limits(Device& device, DType dtype, double seconds);

// The limit that products of a model of `dtype` meet on this device.
std::string limit_of_products(Device& device, DType dtype);

// ---- the parts

Limit measure_copy(Device& device, double seconds);
// Multiply-adds on registers, with the instructions that ops/matmul uses for factors of that type. Empty where there is no loop for this processor.
std::vector<Limit> measure_fma(Device& device, DType factors, double seconds);
// Products of tensor cores on registers, at the code path of the device.
Limit measure_tensor_cores(Device& device, double seconds);

// Least time of one call among those that fit into `total` seconds, three at least: what the device can do when nobody else uses it.
double best_time(Device& device, double total, const std::function<void()>& body);

// Of the calling thread.
double processor_seconds();
// For one CPU thread its processor time, which other programs on the machine disturb least; else the time that passes.
double now(Device& device);

}  // namespace gt::bench
