// A CUDA runtime that runs nothing and notes every launch, for programs that are linked with dry_run.cpp: what a backend would do on a
// device that is not there, at full size. Memory is address space that is never touched.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace gt::gpu {

struct Launch {
  std::string kernel;  // mangled
  std::array<unsigned, 3> grid;
  unsigned threads;     // of a block
  size_t shared_bytes;  // dynamic
};

// The device that the runtime shows from now on.
void dry_run_device(const char* name, int capability, int multiprocessors, int64_t memory);
// The launches since the last call.
std::vector<Launch> take_launches();

}  // namespace gt::gpu
