#include "core/device.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "core/fence.h"
#include "core/profile.h"

namespace gt {

const char* name_of(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::cpu: return "cpu";
    case DeviceKind::cuda: return "cuda";
    case DeviceKind::emulated: return "emulated";
  }
  return "?";
}

static int default_threads() { return std::max(1u, std::thread::hardware_concurrency()); }

gpu::Level Device::default_level() {
  const char* path = std::getenv("GEMMATUNE_GPU");
  require(!path || !*path || !std::strcmp(path, "sm75") || !std::strcmp(path, "sm80"), Code::kArgument, "GEMMATUNE_GPU is \"", path ? path : "", "\", expected sm75 or sm80 (the newest GPU code path to use)");
  return path && !std::strcmp(path, "sm75") ? gpu::Level::sm75 : gpu::Level::sm80;
}

static std::string missing_backend(DeviceKind kind) {
  return text("this build has no ", name_of(kind), " backend", kind == DeviceKind::cuda ? ": it was made without the CUDA toolkit (nvcc)" : "");
}

int count_devices(DeviceKind kind) {
  std::string problem = missing_backend(kind);
  size_t count = 0;
#if GEMMATUNE_CUDA
  if (kind == DeviceKind::cuda) count = cuda::devices(&problem).size();
#endif
#if defined(GEMMATUNE_EMULATED)
  if (kind == DeviceKind::emulated) count = emulated::devices(&problem).size();
#endif
  require(count > 0, Code::kDevice, problem);
  return int(count);
}

Device::Device(DeviceKind kind, int index, int threads, gpu::Level highest) : kind(kind), index(index) {
#if GEMMATUNE_CUDA
  if (kind == DeviceKind::cuda) gpu_ = cuda::open(index, highest);
#endif
#if defined(GEMMATUNE_EMULATED)
  if (kind == DeviceKind::emulated) gpu_ = emulated::open(index, highest);
#endif
  (void)highest;
  require(gpu_ || kind == DeviceKind::cpu, Code::kDevice, missing_backend(kind));
  threads_ = std::make_unique<Threads>(threads > 0 ? threads : default_threads());
}

void Device::set_profile(bool on) { profile_ = on ? std::make_unique<Profile>() : nullptr; }

Device::~Device() {
  if (scratch_) release(scratch_, scratch_bytes_);  // of the CPU; a GPU's context has its own
}

// Large memory comes from the kernel as zero pages that cost nothing until they are used, in pages of 2 MB where the kernel has them:
// arenas are walked end to end, and small pages would spend their time in TLB misses. AddressSanitizer sees the ends of what is on the heap only.
constexpr size_t kHugePage = size_t(2) << 20;
static bool is_large(size_t bytes) { return kFence == 0 && bytes >= 2 * kHugePage; }
static size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

void* Device::allocate(size_t bytes) {
  void* p = nullptr;
  if (gpu_) {
    p = gpu_->allocate(bytes);
  } else if (is_large(bytes)) {
    // One huge page more than needed, to cut an aligned piece out of it.
    const size_t whole = round_up(bytes, kHugePage), mapped = whole + kHugePage;
    void* raw = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw != MAP_FAILED) {
      char* begin = static_cast<char*>(raw);
      char* aligned = reinterpret_cast<char*>(round_up(reinterpret_cast<uintptr_t>(begin), kHugePage));
      if (aligned != begin) munmap(begin, size_t(aligned - begin));
      munmap(aligned + whole, size_t(begin + mapped - (aligned + whole)));
      p = aligned;
#ifdef MADV_HUGEPAGE
      madvise(p, whole, MADV_HUGEPAGE);
#endif
    }
  } else if (posix_memalign(&p, 64, std::max<size_t>(bytes, 1)) == 0) {
    std::memset(p, 0, bytes);
  }
  if (p) return p;
  if (gpu_) {
    int64_t free = 0, total = 0;
    gpu_->free_memory(&free, &total);
    throw Error(Code::kMemory, text("out of memory: ", name_of(kind), ":", index, " (", gpu_->description.name, ") has ", free >> 20, " of ", total >> 20, " MiB free, ", (int64_t(bytes) + (1 << 20) - 1) >> 20, " MiB more are needed"));
  }
  throw Error(Code::kMemory, text("out of memory: could not allocate ", bytes, " bytes"));
}

void Device::release(void* pointer, size_t bytes) {
  if (gpu_) gpu_->release(pointer);
  else if (is_large(bytes)) munmap(pointer, round_up(bytes, kHugePage));
  else std::free(pointer);
}

void* Device::scratch(size_t bytes) {
  if (gpu_) return gpu_->scratch(bytes);
  if (bytes > scratch_bytes_) {
    if (scratch_) release(scratch_, scratch_bytes_);
    scratch_ = nullptr, scratch_bytes_ = 0;
    scratch_ = allocate(bytes);
    scratch_bytes_ = bytes;
  }
  unfence(scratch_, bytes);
  fence(static_cast<char*>(scratch_) + bytes, scratch_bytes_ - bytes);
  return scratch_;
}

void Device::zero(void* pointer, size_t bytes) {
  if (gpu_) return gpu_->zero(pointer, bytes);
  threads().ranges(int64_t(bytes), 1 << 22, [&](int64_t b, int64_t e) { std::memset(static_cast<char*>(pointer) + b, 0, size_t(e - b)); });
}
void Device::copy_from_host(void* to, const void* from, size_t bytes) {
  if (gpu_) return gpu_->copy_from_host(to, from, bytes);
  std::memcpy(to, from, bytes);
}
void Device::upload(void* to, const void* from, size_t bytes) {
  if (gpu_) return gpu_->copy_within(to, gpu_->stage(from, bytes), bytes);
  std::memcpy(to, from, bytes);
}
void Device::copy_to_host(void* to, const void* from, size_t bytes) {
  if (gpu_) return gpu_->copy_to_host(to, from, bytes);
  std::memcpy(to, from, bytes);
}
void Device::copy_within(void* to, const void* from, size_t bytes) {
  if (gpu_) return gpu_->copy_within(to, from, bytes);
  std::memcpy(to, from, bytes);
}
void Device::synchronize() {
  if (gpu_) gpu_->synchronize();
}
void Device::fetch(const void* from, size_t bytes) {
  if (gpu_) gpu_->fetch(from, bytes);
  fetched_ = from;
}
const void* Device::wait() { return gpu_ ? gpu_->wait() : fetched_; }

}  // namespace gt
