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

// Large memory comes from the kernel as zero pages that cost nothing until they are used, in pages of 2 MB where the kernel has them:
// arenas are walked end to end, and small pages would spend their time in TLB misses.
constexpr size_t kHugePage = size_t(2) << 20;
static bool is_large(size_t bytes) { return bytes >= 2 * kHugePage; }
static size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

void* Device::allocate(size_t bytes) {
  void* p = nullptr;
  if (is_large(bytes)) {
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
  } else if ((p = std::aligned_alloc(64, round_up(std::max<size_t>(bytes, 1), 64)))) {
    std::memset(p, 0, bytes);
  }
  require(p != nullptr, Code::kMemory, "out of memory: could not allocate ", bytes, " bytes on ", name_of(kind));
  return p;
}

void Device::release(void* pointer, size_t bytes) {
  if (is_large(bytes)) munmap(pointer, round_up(bytes, kHugePage));
  else std::free(pointer);
}

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
