#include "gpu/driver.h"

#include <cstdlib>

#include "testing/check.h"

using namespace gt;
using namespace gt::testing;

static std::string with_state(const char* state, int runtime) {
  setenv("GT_FAKE_DRIVER_STATE", state, 1);
  return gpu::driver_problem(GT_FAKE_DRIVER, runtime);
}
static void check_says(const std::string& got, const char* part) { check(got.find(part) != std::string::npos, "got \"", got, "\", expected it to say \"", part, "\""); }

TEST(driver_problems_are_told_apart) {
  check_says(gpu::driver_problem("libcuda-that-is-not-there.so.1", 13000), "there is no NVIDIA driver on this machine: libcuda-that-is-not-there.so.1 was not found");
  check_says(gpu::driver_problem("libm.so.6", 13000), "libm.so.6 is not an NVIDIA driver");
  check_says(with_state("12040,0,1", 13000), "it runs programs of CUDA 12.4 and older, this build is of CUDA 13.0; install driver 580 or newer");
  check_says(with_state("11040,0,1", 12080), "of CUDA 11.4 and older, this build is of CUDA 12.8; install driver 525 or newer");
  check_says(with_state("13000,100,0", 13000), "shows no GPU");
  check_says(with_state("13000,0,0", 12040), "shows no GPU");
  check_says(with_state("13000,803,1", 12040), "cuInit gave error 803");
  setenv("CUDA_VISIBLE_DEVICES", "7", 1);
  check_says(with_state("13000,100,0", 13000), "shows no GPU (CUDA_VISIBLE_DEVICES is \"7\")");
  unsetenv("CUDA_VISIBLE_DEVICES");
}

TEST(a_driver_of_the_same_major_version_or_newer_will_do) {
  for (const char* state : {"13000,0,1", "13020,0,2", "14000,0,1"}) check(with_state(state, 13000).empty(), "refused: ", with_state(state, 13000));
  check(with_state("12020,0,1", 12080).empty(), "minor versions are compatible");
}
