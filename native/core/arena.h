// One allocation, many named views: lay out first (add), allocate once, then ask for tensors.
#pragma once
#include <vector>

#include "core/device.h"
#include "core/fence.h"
#include "core/tensor.h"

namespace gt {

// Memory of a device, zero at first, freed with its owner.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Device& device, int64_t bytes) : device_(&device), bytes_(bytes), data_(device.allocate(size_t(bytes))) {}
  ~Buffer() { reset(); }
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(device_, other.device_), std::swap(bytes_, other.bytes_), std::swap(data_, other.data_);
    return *this;
  }
  void reset() {
    if (data_) device_->release(data_, size_t(bytes_));
    data_ = nullptr, bytes_ = 0;
  }
  char* data() const { return static_cast<char*>(data_); }
  int64_t bytes() const { return bytes_; }

 private:
  Device* device_ = nullptr;
  int64_t bytes_ = 0;
  void* data_ = nullptr;
};

// Lays tensors out one after the other, each at a multiple of 64 bytes, then allocates them in one piece. On the host, fences stand between them.
class Arena {
 public:
  // `slot` becomes valid when allocate() has run; it must outlive that call.
  void add(Tensor* slot, DType dtype, std::initializer_list<int64_t> shape) {
    *slot = Tensor(nullptr, dtype, shape);
    slots_.push_back({slot, bytes_});
    bytes_ += (slot->bytes() + kFence + 63) / 64 * 64;
  }
  int64_t bytes() const { return bytes_; }

  // Takes `memory` if it is large enough, else allocates; contents are undefined.
  void allocate(Device& device, Buffer& memory) {
    if (memory.bytes() < bytes_) {
      memory.reset();  // before the new allocation: the two must not be held at once
      memory = Buffer(device, bytes_);
    }
    if (device.on_host()) fence(memory.data(), size_t(memory.bytes()));
    for (const Slot& s : slots_) {
      s.tensor->data = memory.data() + s.offset;
      if (device.on_host()) unfence(s.tensor->data, size_t(s.tensor->bytes()));
    }
    slots_.clear();
  }

 private:
  struct Slot {
    Tensor* tensor;
    int64_t offset;
  };
  std::vector<Slot> slots_;
  int64_t bytes_ = 0;
};

}  // namespace gt
