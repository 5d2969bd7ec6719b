#pragma once
#include <chrono>

namespace gt::comm {

// Seconds of a clock that only goes forward.
inline double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace gt::comm
