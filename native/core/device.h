// Where tensors live and ops run. Every op takes the Device first; its door picks the backend from `kind`.
#pragma once
#include <cstddef>
#include <memory>

#include "core/parallel.h"
#include "core/tensor.h"
#include "gpu/context.h"

namespace gt {

class Profile;  // core/profile.h

enum class DeviceKind { cpu, cuda, emulated };
const char* name_of(DeviceKind kind);

class Device {
 public:
  // threads: CPU threads to use, 0 = one per core. `highest`: the newest GPU code path to use, by default the device's own or what
  // GEMMATUNE_GPU=sm75 lowers it to. Throws Error(kDevice) with the reason if there is no such device.
  Device(DeviceKind kind, int index, int threads, gpu::Level highest = default_level());
  ~Device();

  const DeviceKind kind;
  const int index;
  Threads& threads() { return *threads_; }
  // Of kinds cuda and emulated.
  gpu::Context& gpu() { return *gpu_; }
  bool on_host() const { return kind == DeviceKind::cpu; }
  // Null unless ops are being timed.
  Profile* profile() const { return profile_.get(); }
  void set_profile(bool on);

  // 64-byte aligned and zero (cuda: the clearing is queued like any work). Throws Error(kMemory) naming the bytes asked for. `release` needs the same number of bytes.
  void* allocate(size_t bytes);
  void release(void* pointer, size_t bytes);
  // A buffer that ops share for packing: grows to the largest size ever asked for. Contents undefined, valid until the next call.
  void* scratch(size_t bytes);
  void zero(void* pointer, size_t bytes);
  void copy_from_host(void* to, const void* from, size_t bytes);
  // The same without waiting for the device, for small data: beside the kernels that run, before those that follow.
  void upload(void* to, const void* from, size_t bytes);
  void copy_to_host(void* to, const void* from, size_t bytes);
  void copy_within(void* to, const void* from, size_t bytes);
  void synchronize();
  // A result on its way to the host while later work runs: fetch it, start more work, then wait. One at a time.
  void fetch(const void* from, size_t bytes);
  const void* wait();

 private:
  static gpu::Level default_level();
  std::unique_ptr<gpu::Context> gpu_;
  std::unique_ptr<Profile> profile_;
  const void* fetched_ = nullptr;
  std::unique_ptr<Threads> threads_;
  void* scratch_ = nullptr;
  size_t scratch_bytes_ = 0;
};

// How many devices of a GPU kind there are, without opening one. Throws Error(kDevice) with the reason where there is none.
int count_devices(DeviceKind kind);

// Checks the dtype of a parameter's gradient at an op's door: float32, or on the CPU bfloat16 too.
inline void require_gradient_dtype(const char* op, const char* name, const Tensor& t, const Device& device) {
  if (device.on_host()) return require_dtype(op, name, t, {DType::f32, DType::bf16});
  require(t.dtype == DType::f32, Code::kArgument, op, ": ", name, " is ", t.describe(), ", the ", name_of(device.kind), " backend takes float32");
}

}  // namespace gt
