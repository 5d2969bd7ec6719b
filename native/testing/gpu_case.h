// What tests of GPU backends need on top of op_case.h: the devices to run on, and fenced buffers that live on one.
//
// A test runs on the emulator at both code paths. With GEMMATUNE_TEST_DEVICE=cuda it runs on the real device instead: on its own
// code path and, forced, on that of sm_75.
#pragma once
#include <cstdlib>

#include "core/device.h"
#include "testing/op_case.h"

namespace gt::testing {

inline bool on_real_gpu() {
  const char* device = std::getenv("GEMMATUNE_TEST_DEVICE");
  return device && std::string(device) == "cuda";
}

inline const char* name_of(gpu::Level level) { return level == gpu::Level::sm75 ? "sm75" : "sm80"; }

// Failures say where they happened. A build without the emulator (not x86-64) has nothing to run on but a real device.
template <class Body>
void on_each_gpu(const Body& body) {
#if !defined(GEMMATUNE_EMULATED)
  if (!on_real_gpu()) return;
#endif
  const DeviceKind kind = on_real_gpu() ? DeviceKind::cuda : DeviceKind::emulated;
  for (gpu::Level level : {gpu::Level::sm75, gpu::Level::sm80}) {
    Device device(kind, 0, 1, level);
    if (device.gpu().level != level) continue;  // a real device of sm_75 has one path
    try {
      body(device);
      device.synchronize();
    } catch (const std::exception& e) {
      throw Failure(text("on ", gt::name_of(kind), " ", name_of(level), ": ", e.what()));
    }
  }
}

// A Fenced buffer with a twin on the device, which is NaN at first, fences too. Fill the host side, upload(), run, download(), check.
template <class T>
class OnGpu : public Fenced<T> {
 public:
  OnGpu(Device& device, int64_t n) : Fenced<T>(n), device_(device), bytes_(this->raw_.size() * sizeof(T)), memory_(static_cast<char*>(device.allocate(bytes_))) { upload(); }
  ~OnGpu() { device_.release(memory_, bytes_); }
  OnGpu(const OnGpu&) = delete;

  // The device's memory.
  Tensor tensor(std::initializer_list<int64_t> shape) const { return Tensor(memory_ + Fenced<T>::kFence * sizeof(T), dtype_of<T>::value, shape); }
  void upload() { device_.copy_from_host(memory_, this->raw_.data(), bytes_); }
  void download() { device_.copy_to_host(this->raw_.data(), memory_, bytes_); }

 private:
  Device& device_;
  size_t bytes_;
  char* memory_;
};

template <class T, class... Sizes>
void upload(T& first, Sizes&... rest) {
  first.upload();
  (rest.upload(), ...);
}
template <class T, class... Sizes>
void download(T& first, Sizes&... rest) {
  first.download();
  (rest.download(), ...);
}

// The values of v rounded to bfloat16, for references evaluated in its precision.
inline std::vector<float> rounded(std::vector<float> v) {
  for (float& x : v) x = to_float(to_bf16(x));
  return v;
}

template <class T>
bool same_bits(Fenced<T>& a, Fenced<T>& b) { return a.size() == b.size() && !std::memcmp(a.data(), b.data(), size_t(a.size()) * sizeof(T)); }

}  // namespace gt::testing
