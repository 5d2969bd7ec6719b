// The one exception type of the core. Nothing in native/ prints, aborts or exits: it throws Error, and api/ turns it into a status.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

namespace gt {

// Keep in step with gt_status in api/gemmatune.h.
enum class Code { kArgument = 1, kShape, kMemory, kFile, kDevice, kCancelled, kInternal, kRank };

struct Error : std::runtime_error {
  Code code;
  Error(Code code, const std::string& message) : std::runtime_error(message), code(code) {}
};

// Joins its arguments into one string: text("rstd has ", 96, " rows, x has ", 128).
template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

// Throws Error(code, text(parts...)) unless `ok`. The message names both sides: what was found and what was expected.
template <class... Parts>
void require(bool ok, Code code, const Parts&... parts) {
  if (!ok) throw Error(code, text(parts...));
}

}  // namespace gt
