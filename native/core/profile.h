// Where a device's time goes, op by op. Off unless asked for: then a door costs two looks at a pointer.
//
//   void some_op(Device& device, ...) {
//     const Span span(device, "some_op");
//
// A GPU is waited for at both ends of a span, so ops do not overlap and the sum is longer than an unprofiled step.
#pragma once
#include <vector>

#include "core/device.h"

namespace gt {

struct OpTime {
  const char* op;
  int64_t calls = 0;
  int64_t launches = 0;  // of kernels; 0 on the CPU
  double seconds = 0;
};

class Profile {
 public:
  // What was measured since the last take, in order of first call.
  std::vector<OpTime> take();

 private:
  friend class Span;
  OpTime& of(const char* op);
  std::vector<OpTime> times_;
  bool inside_ = false;  // a door that calls doors counts as one op
};

class Span {
 public:
  Span(Device& device, const char* op) : device_(device), profile_(device.profile()) {
    if (profile_) begin(op);
  }
  ~Span() noexcept(false) {
    if (op_) end();
  }
  Span(const Span&) = delete;

 private:
  void begin(const char* op);
  void end();
  int64_t launches() const;

  Device& device_;
  Profile* profile_;
  const char* op_ = nullptr;  // null: not measured
  int64_t launches_ = 0;
  double start_ = 0;
};

}  // namespace gt
