// The numbers of one parameter as float32, whatever its arena stores: float32, bfloat16, or bfloat16 with remainders (ops/adamw).
// This is the path of files and tests, not of training.
#pragma once
#include <string>

#include "core/device.h"
#include "core/file.h"
#include "model/parameters.h"

namespace gt {

struct Values {
  Tensor arena;       // float32 or bfloat16, flat
  Tensor remainders;  // int16, or empty
};

enum class FileType { f32, bf16, f16 };
int64_t size_of(FileType type);

// out[0..p.count)
void read_values(Device& device, const Values& values, const Parameter& p, float* out);

// From `offset` of a safetensors file. Refuses a non-finite value, naming tensor, element and file.
void load_values(Device& device, const Values& values, const Parameter& p, const MappedFile& file, int64_t offset, FileType type);

// Appends p's numbers to a file; to bfloat16 they are rounded to nearest even, or taken as they are where the arena holds bfloat16.
void write_values(Device& device, const Values& values, const Parameter& p, DType as, AtomicFile& file);

// Matrices normal(0, std), norms 0; every number is a function of (seed, its index in the arena) alone.
void initialize_values(Device& device, const Values& values, const ParameterTable& table, uint64_t seed, double std);

}  // namespace gt
