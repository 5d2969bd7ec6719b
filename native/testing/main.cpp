#include <cstdio>
#include <cstring>

#include "testing/check.h"

namespace gt::testing {

std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

void check_throws(Code code, const std::string& part, const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& e) {
    check(e.code == code && std::string(e.what()).find(part) != std::string::npos, "wrong error: ", e.what(), "; expected one about ", part);
    return;
  }
  throw Failure("no error; expected one about " + part);
}

}  // namespace gt::testing

int main(int argc, char** argv) {
  const std::string filter = argc > 1 ? argv[1] : "";
  const bool excluded = filter.rfind('!', 0) == 0;
  int passed = 0, failed = 0;
  for (const auto& t : gt::testing::tests()) {
    std::string full = std::string(t.file) + ":" + t.name;
    if ((full.find(excluded ? filter.substr(1) : filter) == std::string::npos) != excluded) continue;
    try {
      t.body();
      passed++;
    } catch (const std::exception& e) {
      std::printf("FAILED %s\n  %s\n", full.c_str(), e.what());
      failed++;
    }
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed || !passed ? 1 : 0;
}
