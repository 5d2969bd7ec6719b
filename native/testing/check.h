// A test runner in a page. A test file is: `TEST(name) { ... check(...); }`; it links with testing/main.cpp. `ops_test rmsnorm` runs the tests whose
// file or name holds that; `ops_test '!gpu_test'` all others.
#pragma once
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/mix64.h"

namespace gt::testing {

struct Test {
  const char* file;
  const char* name;
  void (*body)();
};
std::vector<Test>& tests();
struct Registration {
  Registration(const char* file, const char* name, void (*body)()) { tests().push_back({file, name, body}); }
};

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class... Parts>
void check(bool ok, const Parts&... what) {
  if (!ok) throw Failure(text(what...));
}

// The body must throw Error with `code` and a message that contains `part`.
void check_throws(Code code, const std::string& part, const std::function<void()>& body);

// Deterministic numbers for test inputs: splitmix64.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t bits() { return mix64(state_ += 0x9e3779b97f4a7c15ull); }
  double uniform() { return double(bits() >> 11) * 0x1p-53; }
  double normal() { return std::sqrt(-2 * std::log(1 - uniform())) * std::cos(6.283185307179586 * uniform()); }
  int64_t below(int64_t n) { return int64_t(bits() % uint64_t(n)); }

 private:
  uint64_t state_;
};

}  // namespace gt::testing

#define GT_TEST_JOIN2(a, b) a##b
#define GT_TEST_JOIN(a, b) GT_TEST_JOIN2(a, b)
#define TEST(name)                                                                                            \
  static void name();                                                                                         \
  static const ::gt::testing::Registration GT_TEST_JOIN(registration_, name)(__FILE__, #name, name); \
  static void name()
