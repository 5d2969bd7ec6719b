#include "core/profile.h"

#include <chrono>
#include <cstring>
#include <exception>
#include <utility>

namespace gt {

static double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::vector<OpTime> Profile::take() { return std::exchange(times_, {}); }

OpTime& Profile::of(const char* op) {
  for (OpTime& t : times_)
    if (!std::strcmp(t.op, op)) return t;
  return times_.emplace_back(OpTime{op});
}

int64_t Span::launches() const { return device_.on_host() ? 0 : device_.gpu().launches; }

void Span::begin(const char* op) {
  if (std::exchange(profile_->inside_, true)) return;
  device_.synchronize();
  op_ = op, launches_ = launches(), start_ = now();
}

void Span::end() {
  profile_->inside_ = false;
  if (std::uncaught_exceptions() > 0) return;  // the op failed: no time to speak of, and waiting might throw again
  device_.synchronize();
  OpTime& t = profile_->of(op_);
  t.calls++, t.launches += launches() - launches_, t.seconds += now() - start_;
}

}  // namespace gt
