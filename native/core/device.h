// Where tensors live and ops run. Every op takes the Device first; its door picks the backend from `kind`.
#pragma once
#include <cstddef>
#include <memory>

#include "core/parallel.h"

namespace gt {

enum class DeviceKind { cpu, cuda, emulated };
const char* name_of(DeviceKind kind);

class Device {
 public:
  // threads: CPU threads to use, 0 = one per core. Throws Error(kDevice) for a kind this build does not have.
  Device(DeviceKind kind, int index, int threads);
  ~Device();

  const DeviceKind kind;
  const int index;
  Threads& threads() { return *threads_; }

  // 64-byte aligned and zero. Throws Error(kMemory) naming the bytes asked for. `release` needs the same number of bytes.
  void* allocate(size_t bytes);
  void release(void* pointer, size_t bytes);
  // A buffer that ops share for packing: grows to the largest size ever asked for. Contents undefined, valid until the next call.
  void* scratch(size_t bytes);
  void zero(void* pointer, size_t bytes);
  void copy_from_host(void* to, const void* from, size_t bytes);
  void copy_to_host(void* to, const void* from, size_t bytes);
  void synchronize();

 private:
  std::unique_ptr<Threads> threads_;
  void* scratch_ = nullptr;
  size_t scratch_bytes_ = 0;
};

// For the default branch of a door's switch: throws Error(kDevice, "rmsnorm has no cuda backend in this build").
[[noreturn]] void no_backend(const char* op, const Device& device);

}  // namespace gt
