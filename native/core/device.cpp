#include "core/device.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "core/error.h"

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

Device::Device(DeviceKind kind, int index, int threads) : kind(kind), index(index) {
  require(kind == DeviceKind::cpu, Code::kDevice, "device ", name_of(kind), " is not part of this build; this build has: cpu");
  threads_ = std::make_unique<Threads>(threads > 0 ? threads : default_threads());
}

Device::~Device() {
  if (scratch_) release(scratch_, scratch_bytes_);
}

void* Device::allocate(size_t bytes) {
  // Arenas are large and walked end to end: 2 MB pages save most TLB misses.
  const size_t huge = size_t(2) << 20, align = bytes >= 2 * huge ? huge : 64;
  void* p = std::aligned_alloc(align, (std::max<size_t>(bytes, 1) + align - 1) / align * align);
  require(p != nullptr, Code::kMemory, "out of memory: could not allocate ", bytes, " bytes on ", name_of(kind));
#ifdef MADV_HUGEPAGE
  if (align == huge) madvise(p, bytes / huge * huge, MADV_HUGEPAGE);
#endif
  return p;
}

void Device::release(void* pointer, size_t) { std::free(pointer); }

void* Device::scratch(size_t bytes) {
  if (bytes > scratch_bytes_) {
    if (scratch_) release(scratch_, scratch_bytes_);
    scratch_ = nullptr, scratch_bytes_ = 0;
    scratch_ = allocate(bytes);
    scratch_bytes_ = bytes;
  }
  return scratch_;
}

void Device::zero(void* pointer, size_t bytes) {
  threads().ranges(int64_t(bytes), 1 << 22, [&](int64_t b, int64_t e) { std::memset(static_cast<char*>(pointer) + b, 0, size_t(e - b)); });
}
void Device::copy_from_host(void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }
void Device::copy_to_host(void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }
void Device::synchronize() {}

void no_backend(const char* op, const Device& device) {
  throw Error(Code::kDevice, text(op, " has no ", name_of(device.kind), " backend in this build"));
}

}  // namespace gt
